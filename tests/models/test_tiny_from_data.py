import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from apm_exp.core.artifact import Artifact
from apm_exp.models.load import load_model, load_tokenizer
from apm_exp.models.preflight import preflight
from apm_exp.models.tiny_from_data import tiny_from_data
from apm_exp.models.tokens.per_response import per_response
from apm_exp.models.tokens.turn_end import turn_end
from apm_exp.pipeline.stages.model import model as built
from tests.models.tiny_folder import NODE, SIZES, pairs, policy, tiny_folder


def content(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp("tiny") / "model")


def test_same_settings_give_the_same_bytes_and_leave_torchs_random_state(folder, tmp_path):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert content(tiny_folder(tmp_path / "again")) == content(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_seed_changes_the_weights_and_nothing_else(folder, tmp_path):
    tiny_from_data(tmp_path, pairs(), **SIZES | {"seed": 4})
    other, same = content(tmp_path), content(folder)
    assert {name for name in other if other[name] != same[name]} == {"model.safetensors"}


def test_held_out_pairs_leave_no_trace(folder, tmp_path):
    """Of two prompts a hold-out of a half holds out the one of rank 0."""
    ranked = [
        table.append_column("holdout_rank", pa.array([rank] * 10))
        for table, rank in ((pairs(), 1), (pairs("zucchini"), 0))
    ]
    pq.write_table(pa.concat_tables(ranked), tmp_path / "pairs.parquet")
    given = Artifact("pairs", tmp_path, "key", {"pairs": 20, "prompts": 2}, 0.0)
    node = {"_target_": "apm_exp.models.tiny_from_data.tiny_from_data", **SIZES}
    for name, holdout, same in (("half", 0.5, True), ("none", 0.0, False)):
        (tmp_path / name).mkdir()
        built(tmp_path / name, model=node, pairs=given, holdout=holdout)
        assert (content(tmp_path / name / "final") == content(folder)) == same


def test_it_is_an_ordinary_folder(folder):
    preflight(folder, NODE | {"path": str(folder)})
    model, tokenizer = load_model(policy(folder), "cpu"), load_tokenizer(policy(folder))
    assert model.config.vocab_size == len(tokenizer) == 280
    assert model.config.max_position_embeddings == 256
    ids = torch.tensor([tokenizer.encode("apricot")])
    assert model(input_ids=ids).logits.isfinite().all()


def test_tokenizer_writes_every_text_and_knows_its_words(folder):
    tokenizer = load_tokenizer(policy(folder))
    for text in ("Zucchini? Größe \n\n 数 🙂", " two  spaces "):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode(" apricot")) == 1


def test_template_has_three_roles_and_one_end_token(folder):
    tokenizer = load_tokenizer(policy(folder))
    turns = [{"role": role, "content": role[0]} for role in ("system", "user", "assistant", "user")]
    prompt, answer = turns, [{"role": "assistant", "content": "\nyes"}]
    other = [{"role": "assistant", "content": "no"}]
    [pair] = per_response(tokenizer, [prompt], [answer], [other], max_length=200, max_prompt_length=100)
    written = "<|begin|><|system|>s<|end|><|user|>u<|end|><|assistant|>a<|end|><|user|>u<|end|><|assistant|>"
    assert tokenizer.decode(pair.prompt_ids) == written
    assert tokenizer.decode(pair.chosen_ids) == "\nyes<|end|>"
    assert turn_end(tokenizer).token_id == tokenizer.eos_token_id
    [refusal] = per_response(
        tokenizer, [[{"role": "tool", "content": "x"}]], [answer], [other], max_length=200, max_prompt_length=100
    )
    assert refusal.detail == "no such role: tool"


def test_width_must_fit_the_heads(tmp_path):
    with pytest.raises(ValueError, match=r"model\.hidden=18: not a multiple of 2 \* model\.heads=2"):
        tiny_from_data(tmp_path, pairs(), **SIZES | {"hidden": 18})
