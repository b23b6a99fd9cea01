import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from apm_exp.data.rewards.implicit import implicit, preflight
from apm_exp.models.tiny_from_data import tiny_from_data
from tests.micro_world_policy import RUNTIME
from tests.models.tiny_folder import SIZES, pairs, tiny_folder

WHAT = [{"role": "user", "content": "What?"}]
ROWS = [
    {"prompt": WHAT, "responses": ["apricot", "a much longer response, of many words", "no"]},
    {"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "Why?"}], "responses": ["1", "22"]},
]
HEADER = "<|assistant|>"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A policy and a reference with the same tokens and other weights."""
    parent = tmp_path_factory.mktemp("models")
    policy = tiny_folder(parent / "policy")
    reference = parent / "reference"
    reference.mkdir()
    tiny_from_data(reference, pairs(), **SIZES | {"seed": 4})
    return policy, reference


def node(reference):
    target = "apm_exp.data.rewards.reference_model.reference_model"
    return {"_target_": target, "path": str(reference), "revision": None, "trust_remote_code": False}


def scores(models, rows=ROWS, batch_size=8, **changed):
    settings = {"revision": None, "dtype": "float32", "max_length": 256, "trust_remote_code": False}
    settings |= {"beta": 0.1, "per_token": False} | changed
    policy, reference = models
    with TemporaryDirectory() as scored:
        table = pa.Table.from_pylist(rows)
        more = {"path": str(policy), "reference": node(reference), "batch_size": batch_size}
        return implicit(table, RUNTIME, Path(scored), **more, **settings)


@torch.inference_mode()
def logp(folder, prompt, response, most=256):
    """The summed log-prob of the response and its end token, and their number, from the plain forward."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    before = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
    ids = tokenizer.apply_chat_template([*prompt, {"role": "assistant", "content": response}], return_dict=False)[:most]
    logps = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    return sum(float(logps[place - 1, ids[place]]) for place in range(len(before), len(ids))), len(ids) - len(before)


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("per_token", [False, True])
def test_equals_the_log_ratio_of_two_plain_forwards(models, batch_size, per_token):
    got = scores(models, batch_size=batch_size, per_token=per_token, beta=0.5)
    for row, rewards in zip(ROWS, got, strict=True):
        for response, reward in zip(row["responses"], rewards, strict=True):
            (own, length), (its, _) = (logp(folder, row["prompt"], response) for folder in models)
            assert reward == pytest.approx(0.5 * (own - its) / (length if per_token else 1), abs=2e-5)
            assert abs(reward) > 1e-4


def test_a_policy_that_is_its_own_reference_has_no_reward(models):
    assert scores((models[0], models[0])) == [[0.0, 0.0, 0.0], [0.0, 0.0]]


def test_too_long_responses_are_truncated_and_counted(models, caplog):
    got = scores(models, ROWS[:1], max_length=20)
    (own, length), (its, _) = (logp(folder, WHAT, ROWS[0]["responses"][1], 20) for folder in models)
    assert got[0][1] == pytest.approx(0.1 * (own - its), abs=1e-5)
    assert length < 20
    assert "1 of 3 responses have more than reward.max_length=20 tokens and were truncated" in caplog.text
    with pytest.raises(
        ValueError, match=r"^reward\.on_too_long=error: 1 of 3 responses .*; set reward\.max_length=\d+"
    ):
        scores(models, ROWS[:1], max_length=20, on_too_long="error")


def test_rows_without_rewards_are_counted(models, caplog):
    bad = {"prompt": [{"role": "tool", "content": "What?"}], "responses": ["a", "b"]}
    assert scores(models, [ROWS[1], bad]) == [scores(models, ROWS[1:])[0], None]
    assert "1 of 2 rows have no reward, the first: prompt starting 'What?'" in caplog.text
    with pytest.raises(ValueError, match="1 of 1 rows have no reward"):
        scores(models, [bad])
    with pytest.raises(ValueError, match=r"a prompt of \d+ tokens; set reward\.max_length above that"):
        scores(models, max_length=3)


def check(models):
    policy, reference = models
    more = {"revision": None, "dtype": "float32", "trust_remote_code": False}
    preflight(path=str(policy), reference=node(reference), **more)


def test_a_reference_with_other_tokens_or_without_weights(models, tmp_path):
    assert check(models) is None
    other = tmp_path / "other"
    other.mkdir()
    tiny_from_data(other, pairs("banana"), **SIZES | {"vocabulary": 290})
    for refuse in (check, scores):
        with pytest.raises(ValueError, match=rf"^reward\.reference\.path={other}: its tokenizer has other tokens"):
            refuse((models[0], other))
    (other / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=rf"^reward\.reference\.path={other}: no weights"):
        check((models[0], other))
    with pytest.raises(ValueError, match=rf"^reward\.path={other}: no weights"):
        check((other, models[0]))
    with pytest.raises(ValueError, match=r"^reward\.reference\.path=.*none: no such folder"):
        check((models[0], tmp_path / "none"))


def test_a_reference_with_fewer_positions(models, tmp_path):
    short = tmp_path / "short"
    shutil.copytree(models[1], short)
    config = json.loads((short / "config.json").read_text())
    (short / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 12}))
    problem = (
        rf"^reward\.reference\.path={short}: accepts 12 tokens, and the longest response has \d\d with its prompt; "
    )
    with pytest.raises(ValueError, match=problem + r"set reward\.max_length=12$"):
        scores((models[0], short))
