"""What a run would refuse late is refused by the checks, which task=plan makes too."""

import json
from pathlib import Path

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from apm_exp.jobs.checks.preflight import check_inputs, check_work
from apm_exp.jobs.checks.settings import check_config
from tests.models.tiny_folder import tiny_folder
from tests.test_configs import compose


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    row = {"chosen": "yes", "rejected": "no", "chosen_reward": 1.0, "rejected_reward": 0.5}
    file.write_text("".join(json.dumps({"prompt": f"is it {number} ?", **row}) + "\n" for number in range(40)))
    return file


def check(*overrides: str) -> None:
    config = compose(*overrides)
    check_config(config)
    check_inputs(config)
    check_work(config)


def refusal(*overrides: str) -> str:
    with pytest.raises(ValueError, match="=") as caught:
        check(*overrides)
    return str(caught.value)


def test_the_default_job_passes() -> None:
    check()
    check("tokens=simpo_2024")


def test_an_end_of_sequence_that_the_tokenizer_lacks(pairs: Path, tmp_path: Path) -> None:
    typed = ("tokens=simpo_2024", "tokens.end_of_sequence=NAME")
    problem = "tokens.end_of_sequence=NAME: the tokenizer has no such token; null uses its own, "
    assert refusal(*typed) == f"{problem}<eos>"
    given = ("dataset=jsonl", f"dataset.path={pairs}")
    assert refusal(*given, "model=tiny_from_data", *typed) == f"{problem}<|end|>"
    folder = tiny_folder(tmp_path / "model")
    assert refusal(*given, "model=local", f"model.path={folder}", *typed).startswith(problem)


@pytest.mark.parametrize("model", ["tiny_from_data", "local"])
def test_limits_that_refuse_every_pair(model: str, pairs: Path, tmp_path: Path) -> None:
    own = ["dataset=jsonl", f"dataset.path={pairs}", f"model={model}"]
    if model == "local":
        own.append(f"model.path={tiny_folder(tmp_path / 'model')}")
    limits = ("tokens.max_length=2", "tokens.max_prompt_length=10")
    found = refusal(*own, *limits)
    assert found.startswith(f"{' '.join(limits)}: would refuse every pair, as of the shortest one the prompt fills ")
    assert found.endswith(" of tokens.max_length=2 tokens; lower tokens.max_prompt_length")
    check(*own, "tokens.max_length=20", "tokens.max_prompt_length=10")


def test_what_the_policy_has_no_room_for(pairs: Path) -> None:
    tiny = ("dataset=jsonl", f"dataset.path={pairs}", "model=tiny_from_data")
    # <|begin|> <|user|> a <|end|> <|assistant|>, then a letter and <|end|>
    assert refusal(*tiny, "model.positions=6") == (
        "model.positions=6: the model takes 6 tokens, and the shortest pair has 7; take a model with more positions"
    )
    check(*tiny, "model.positions=7")
    # The micro world's shortest task has 5 words between <bos> and <sep>; its model takes 256 tokens.
    assert refusal("tokens.max_length=7", "tokens.max_prompt_length=10") == (
        "tokens.max_length=7 tokens.max_prompt_length=10: would refuse every pair, as of the shortest one the prompt "
        "fills 7 of tokens.max_length=7 tokens; lower tokens.max_prompt_length"
    )
    check("tokens.max_length=8", "tokens.max_prompt_length=10")
    assert refusal("generate.max_new_tokens=250") == (
        "generate.max_new_tokens=250: with a prompt of 7 tokens, more than the 256 that the model takes; "
        "give at most 249"
    )
    check("generate.max_new_tokens=249")
    asked = refusal("evals.win_rate.generate.max_new_tokens=250")
    assert asked.startswith("evals.win_rate.generate.max_new_tokens=250: with a prompt of 7 tokens")
    check("evals.win_rate.generate.max_new_tokens=250", "until=selection")


@pytest.mark.parametrize("pipeline", ["offline", "on_policy"])
def test_a_reward_source_that_does_not_know_the_prompts(pipeline: str, pairs: Path) -> None:
    own = ("dataset=jsonl", f"dataset.path={pairs}", "model=tiny_from_data", f"pipeline={pipeline}")
    assert refusal(*own, "reward=micro_world") == (
        "reward=micro_world: 'is it 0 ?' is not a task of the micro world; use another reward source, "
        "such as reward=recorded"
    )


def test_rows_without_a_prompt_to_respond_to(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    own = ("dataset=jsonl", f"dataset.path={file}", "model=micro_world", "pipeline=on_policy", "evals=held_out_pairs")
    file.write_text('{"text": "is it ?"}\n' * 200)
    assert refusal(*own, "reward=micro_world") == (
        f"dataset.path={file}: none of its rows has a prompt to respond to: {file}:1: missing column: prompt"
    )
    file.write_text('{"text": "is it ?"}\n' + '{"prompt": "copy : a b c"}\n' * 9)
    check(*own, "reward=micro_world")


def test_a_forward_that_has_no_room_for_the_shortest_pair() -> None:
    # <bos> and 5 words and <sep>, and twice a letter and <eos>
    assert refusal("runtime.tokens_per_batch=10") == (
        "runtime.tokens_per_batch=10: the shortest pair alone has 11 tokens; give the length of the longest, or null"
    )
    check("runtime.tokens_per_batch=11")


def test_a_variable_that_the_template_of_a_model_built_here_does_not_read() -> None:
    assert refusal("+model.chat_template_kwargs={enable_thinking: false}").startswith(
        "model.chat_template_kwargs.enable_thinking=False: the chat template does not use this variable; "
    )


def test_a_model_without_layers_to_compile(pairs: Path, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "model")
    config = GPT2Config(vocab_size=300, n_positions=64, n_embd=8, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=1)
    GPT2LMHeadModel(config).save_pretrained(folder)
    given = ("dataset=jsonl", f"dataset.path={pairs}", "model=local", f"model.path={folder}")
    check(*given)
    typed = "trainer.torch_compile=true"
    assert refusal(*given, typed).startswith(f"{typed}: GPT2LMHeadModel has no list of decoder layers to compile; ")


def test_too_few_training_pairs_once_some_prompts_are_held_out() -> None:
    # 5% of 20 prompts are held out, and so is one of 3; what is sampled has a prompt each
    assert refusal("dataset.prompts=20", "alpha=auto") == (
        "alpha=auto: 19 pairs are too few to choose it from; give a number, or at least 20 training pairs"
    )
    check("dataset.prompts=20", "alpha=auto", "until=selection")
    assert refusal("dataset.prompts=3").startswith("keep.fraction=0.4: would keep 0 of 2 pairs; ")
    assert refusal("keep=top_k", "keep.k=3801") == "keep.k=3801: there are only 3800 pairs; set at most keep.k=3800"
    check("keep=top_k", "keep.k=3800")


def test_numbers_with_which_nothing_can_be_sampled_or_learned() -> None:
    problem = "input should be greater than or equal to 0.000001"
    assert refusal("generate.temperature=1e-300") == f"generate.temperature=1e-300: {problem}"
    assert (
        refusal("evals.win_rate.generate.temperature=1e-300")
        == f"evals.win_rate.generate.temperature=1e-300: {problem}"
    )
    takes_all = " it takes all of a weight in one optimizer step; give less than 200"
    assert refusal("model.weight_decay=1e300").endswith(takes_all)
    assert refusal("model.learning_rate=5e7").endswith(" should be less than or equal to 10; did you mean 5e-07?")
