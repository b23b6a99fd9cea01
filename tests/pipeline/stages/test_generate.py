import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apm_exp.core import component
from apm_exp.core.types import Policy, Refusal
from apm_exp.data.generate.samples import Samples
from apm_exp.data.generate.transformers_sampler import sample_responses
from apm_exp.data.sources.conversation import split_pair
from apm_exp.data.sources.generated import generated_rows
from apm_exp.data.sources.rows import SourceRow
from apm_exp.pipeline.stages.generate import generate
from tests.data.sources.sources import stored_turn
from tests.micro_world_policy import RUNTIME, SAMPLING, small_policy

COMMON = {
    "limit": None,
    "holdout": 0.05,
    "seed": 0,
    "on_bad_row": "refuse",
    "chosen_reward": None,
    "rejected_reward": None,
}
FOUR = {"_target_": f"{__name__}.four_rows"} | COMMON
SCRIPT = {"_target_": f"{__name__}.scripted"}
LENGTHS = {"_target_": f"{__name__}.lengths"}
WORLD = {"_target_": "apm_exp.data.worlds.micro_world.prompts.prompts", "prompts": 12} | COMMON
SAMPLE = {"_target_": "apm_exp.data.generate.transformers_sampler.sample_responses"} | SAMPLING
REWARD = {
    "_target_": "apm_exp.data.worlds.micro_world.noisy_reward.noisy_true_reward",
    "noise": 0.75,
    "spread": 0.2,
    "seed": 0,
}
NOWHERE = Policy(None, "k", "float32", "auto", False)  # type: ignore[arg-type]


def four_rows():
    for line, prompt in enumerate(("p1", "p2", "p3", "p1"), 1):
        yield SourceRow(f"f:{line}", {"prompt": prompt}, None)


def scripted(policy, prompts, runtime, known):
    """Responses that a test can follow by hand; the second prompt gives no pair."""
    texts = {"p1": ["aa", "a", "aaa", "b"], "p2": ["same", "same", "same", "same"], "p3": ["c", "dd", "ee", "f"]}
    for index in (2, 0, 1):
        yield index, Samples(texts[prompts[index][0]["content"]], [True, True, False, True], [3, 2, 4, 2])


def refusing(policy, prompts, runtime, known):
    for index in range(3):
        yield index, Refusal("prompt too long", "9 tokens")


def interrupted(policy, prompts, runtime, known, *, after: int):
    """The real thing, killed after so many prompts."""
    for count, item in enumerate(sample_responses(policy, prompts, runtime, known, **SAMPLING)):
        if count == after:
            raise KeyboardInterrupt
        yield item


def lengths(responses: pa.Table) -> list[list[float]]:
    assert responses["prompt"].to_pylist() == [[stored_turn("user", p)] for p in ("p1", "p2", "p3")]
    assert responses["recorded_rewards"].null_count == 3
    return [[float(len(text)) for text in row] for row in responses["responses"].to_pylist()]


@pytest.fixture(autouse=True)
def _trust_the_tests(monkeypatch):
    monkeypatch.setattr(component, "_trusted_packages", {"apm_exp", "tests"})


def run(out, dataset=FOUR, policy=NOWHERE, sample=SCRIPT, reward=LENGTHS):
    out.mkdir(exist_ok=True)
    how = {"runtime": RUNTIME, "on_bad_row": dataset["on_bad_row"]}
    return generate(out, dataset=dataset, policy=policy, generate=sample, reward=reward, **how)


def refused(out):
    return [json.loads(line) for line in (out / "refused.jsonl").read_text().splitlines()]


def test_the_best_and_the_worst_make_the_pair_in_simpos_schema(tmp_path):
    assert run(tmp_path) == {"rows": 4, "pairs": 2, "refused": 2, "bad_rows": 1, "responses": 12, "cut_off": 3}
    first, second = pq.read_table(tmp_path / "generations.parquet").to_pylist()
    assert len(first.pop("prompt_id")) == 16
    assert first == {
        "prompt": "p1",
        "all_generated_responses": ["aa", "a", "aaa", "b"],
        "all_rm_scores": [2.0, 1.0, 3.0, 1.0],
        "all_finished": [True, True, False, True],
        "all_lengths": [3, 2, 4, 2],
        "all_logps": None,
        "tools": None,
        "prompt_ids": None,
        "all_ids": None,
        "tokenizer": None,
        "sampler": None,
        "chosen": [stored_turn("user", "p1"), stored_turn("assistant", "aaa")],
        "rejected": [stored_turn("user", "p1"), stored_turn("assistant", "a")],
    }
    assert (second["chosen"][-1]["content"], second["rejected"][-1]["content"]) == ("dd", "c")
    assert [(row["source"], row["reason"]) for row in refused(tmp_path)] == [
        ("f:4", "duplicate prompt"),
        ("f:2", "identical responses"),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generations.parquet", "refused.jsonl"]


def test_limit_counts_rows_of_the_source(tmp_path):
    one = FOUR | {"limit": 3}
    assert run(tmp_path, one)["rows"] == 3


def test_a_bad_row_is_an_error_where_that_is_asked_for(tmp_path):
    with pytest.raises(ValueError, match=r"^dataset\.on_bad_row=error: 1 of 4 rows: f:4 duplicate prompt .*refuse$"):
        run(tmp_path, FOUR | {"on_bad_row": "error"})


def test_no_pair_at_all_is_an_error_and_the_reasons_are_there(tmp_path):
    nothing = {"_target_": f"{__name__}.refusing"}
    with pytest.raises(ValueError, match=r"none of 4 rows gave a pair \(prompt too long 3, duplicate prompt 1\)"):
        run(tmp_path, sample=nothing, reward={"_target_": "apm_exp.data.rewards.recorded.recorded"})
    assert len(refused(tmp_path)) == 4


def too_few(responses: pa.Table) -> list[list[float]]:
    return [[1.0]]


def test_a_reward_for_each_response_or_an_error(tmp_path):
    with pytest.raises(ValueError, match="did not give one reward for each response"):
        run(tmp_path, reward={"_target_": f"{__name__}.too_few"})


def keeping(responses: pa.Table, scored: Path) -> list[list[float]]:
    """A source of a user that keeps the first row's rewards, is killed, and goes on from them."""
    kept = scored / "first.json"
    if not kept.exists():
        kept.write_text(json.dumps(lengths(responses)[0]))
        raise KeyboardInterrupt
    return [json.loads(kept.read_text()), *lengths(responses)[1:]]


def test_a_reward_source_goes_on_from_what_it_has_kept(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    counts = run(whole)
    node = {"_target_": f"{__name__}.keeping"}
    with pytest.raises(KeyboardInterrupt):
        run(killed, reward=node)
    assert run(killed, reward=node) == counts
    assert (killed / "generations.parquet").read_bytes() == (whole / "generations.parquet").read_bytes()
    assert sorted(path.name for path in killed.iterdir()) == ["generations.parquet", "refused.jsonl"]


@pytest.fixture(scope="module")
def micro_policy(tmp_path_factory):
    return small_policy(tmp_path_factory.mktemp("micro_policy"))


def test_a_killed_stage_goes_on_and_ends_with_the_same_file(micro_policy, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    counts = run(whole, WORLD, micro_policy, SAMPLE, REWARD)
    node = {"_target_": f"{__name__}.interrupted", "after": 4}
    with pytest.raises(KeyboardInterrupt):
        run(killed, WORLD, micro_policy, node, REWARD)
    with (killed / "sampled.jsonl").open("a") as journal:
        journal.write('{"index": 5, "Sam')  # a line that the kill cut off
    assert run(killed, WORLD, micro_policy, SAMPLE, REWARD) == counts
    assert (killed / "generations.parquet").read_bytes() == (whole / "generations.parquet").read_bytes()
    assert not (killed / "sampled.jsonl").exists()


def test_multi_turn_prompts_stay_messages(tmp_path):
    dataset = FOUR | {"_target_": f"{__name__}.conversations"}
    reward = {"_target_": f"{__name__}.by_length"}
    run(tmp_path, dataset, sample={"_target_": f"{__name__}.two_each"}, reward=reward)
    (row,) = pq.read_table(tmp_path / "generations.parquet").to_pylist()
    assert row["prompt"] == [stored_turn("system", "s"), stored_turn("user", "u", name="Ann")]
    assert row["chosen"] == [*row["prompt"], stored_turn("assistant", "long")]


def test_the_tools_of_a_prompt_reach_the_sampler_the_reward_and_the_pairs(tmp_path):
    dataset = FOUR | {"_target_": f"{__name__}.with_tools"}
    reward = {"_target_": f"{__name__}.by_tools"}
    counts = run(tmp_path, dataset, sample={"_target_": f"{__name__}.named_tools"}, reward=reward)
    assert (counts["pairs"], counts["refused"]) == (1, 1)
    (generated,) = generated_rows(tmp_path / "generations.parquet")
    assert generated.row is not None
    assert split_pair(generated.row).tools == TOOLS
    assert split_pair(generated.row).chosen["content"] == "look look"
    assert [(row["source"], row["reason"]) for row in refused(tmp_path)] == [("f:2", "no rewards")]


def test_a_sampler_that_takes_no_tools_is_not_asked_about_prompts_that_have_some(tmp_path):
    dataset = FOUR | {"_target_": f"{__name__}.with_tools"}
    run(tmp_path, dataset, sample={"_target_": f"{__name__}.two_each"}, reward={"_target_": f"{__name__}.by_length"})
    assert [(row["source"], row["reason"]) for row in refused(tmp_path)] == [("f:1", "tools")]


TOOLS = [{"type": "function", "function": {"name": "look"}}]


def with_tools():
    yield SourceRow("f:1", {"prompt": "p", "tools": TOOLS}, None)
    yield SourceRow("f:2", {"prompt": "p", "tools": None}, None)


def named_tools(policy, prompts, runtime, known, tools):
    for index, of_prompt in enumerate(tools):
        name = of_prompt[0]["function"]["name"] if of_prompt else "none"
        yield index, Samples([name, f"{name} {name}"], [True, True], [2, 3])


def by_tools(responses: pa.Table) -> list[list[float] | None]:
    lengths = by_length(responses)
    return [each if tools else None for each, tools in zip(lengths, responses["tools"].to_pylist(), strict=True)]


CONVERSATION = [{"role": "system", "content": "s"}, {"role": "user", "content": "u", "name": "Ann"}]


def conversations():
    yield SourceRow("f:1", {"prompt": CONVERSATION}, None)


def two_each(policy, prompts, runtime, known):
    made = Samples(["x", "long"], [True, True], [2, 2])
    yield from ((index, made) for index in range(len(prompts)) if index not in known)


def by_length(responses: pa.Table) -> list[list[float]]:
    return [[float(len(text)) for text in row] for row in responses["responses"].to_pylist()]
