import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file

from apm_exp.data.rewards.armorm import armorm, preflight
from apm_exp.models import armorm as module
from tests.data.rewards.armorm_folder import HEAD, armorm_folder, by_hand, llama3_tokenizer
from tests.data.rewards.reward_folder import reward_folder
from tests.data.rewards.without_tensor import without_tensor
from tests.micro_world_policy import RUNTIME

CHOOSE = module.choose_sharing
TURNS = [
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "Since."},
    {"role": "user", "content": "Really? " * 30},
]
ROWS = [
    {"prompt": [{"role": "user", "content": "What?"}], "responses": ["apricot", "a much longer response " * 9, "no"]},
    {"prompt": TURNS, "responses": ["1", "22"]},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return armorm_folder(tmp_path_factory.mktemp("armorm") / "model")


def scores(folder, rows=ROWS, max_length=512, **changed):
    settings = {"revision": None, "dtype": "float32", "batch_size": 8, "max_length": max_length} | changed
    with TemporaryDirectory() as scored:
        return armorm(pa.Table.from_pylist(rows), RUNTIME, Path(scored), path=str(folder), **settings)


def test_the_checkpoint_has_the_released_names(folder):
    names = set(load_file(folder / "model.safetensors"))
    assert {name for name in names if not name.startswith("model.")} == set(HEAD)


@pytest.mark.parametrize("batch_size", [1, 8])
def test_equals_the_scores_by_hand(folder, batch_size):
    expected = [[by_hand(folder, row["prompt"], response) for response in row["responses"]] for row in ROWS]
    for got, wanted in zip(scores(folder, batch_size=batch_size), expected, strict=True):
        assert got == pytest.approx(wanted, abs=1e-6, rel=1e-6)
    assert torch.tensor([*expected[0], *expected[1]]).std() > 0.1  # they do differ


def test_a_prompt_is_computed_once(folder, monkeypatch):
    chosen = []
    monkeypatch.setattr(module, "choose_sharing", lambda *given, **more: chosen.append(CHOOSE(*given, **more)) or True)
    scores(folder)
    assert chosen == [True]


def test_the_plain_way_gives_the_same(folder, monkeypatch):
    shared = scores(folder)
    monkeypatch.setattr(module, "choose_sharing", lambda *_given, **_more: False)
    for got, wanted in zip(scores(folder), shared, strict=True):
        assert got == pytest.approx(wanted, abs=1e-5)


def test_a_truncated_response_is_scored_at_its_last_token_and_counted(folder, caplog):
    got = scores(folder, ROWS[:1], max_length=60)
    wanted = by_hand(folder, ROWS[0]["prompt"], ROWS[0]["responses"][1], 60)
    assert got[0][1] == pytest.approx(wanted, abs=1e-6, rel=1e-6)
    assert "1 of 3 responses have more than reward.max_length=60 tokens and were truncated" in caplog.text


def test_a_header_that_truncation_removes_leaves_no_reward(folder, caplog):
    """The earlier turn of the assistant has a header too, where the gate would read another prompt."""
    assert scores(folder, max_length=200) == [*scores(folder, ROWS[:1], 200), None]
    told = r"reward\.max_length=200 truncates 1 of 2 conversations before their response begins, so that they have no "
    assert re.search(told + r"reward; set reward\.max_length above \d{3}", caplog.text)
    with pytest.raises(ValueError, match="truncates 1 of 1 conversations before their response begins"):
        scores(folder, ROWS[1:], 200)
    with pytest.raises(ValueError, match=r"^reward\.on_too_long=error: 2 of 2 responses have more than"):
        scores(folder, ROWS[1:], 200, on_too_long="error")


def problem(folder):
    with pytest.raises(ValueError, match=rf"^reward\.path={folder}: ") as error:
        preflight(path=str(folder), revision=None, max_length=512)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_preflight_takes_the_folder(folder):
    assert preflight(path=str(folder), revision=None, max_length=512) is None


@pytest.mark.parametrize("name", HEAD)
def test_a_tensor_of_the_head_that_is_missing_is_named(folder, tmp_path, name):
    other = without_tensor(folder, name, tmp_path / "model")
    assert f"the folder lacks {name}, so the reward model's head would be random; use a checkpoint of" in problem(other)
    if name == "gating.logit_scale":
        with pytest.raises(ValueError, match=r"the folder lacks gating\.logit_scale, which ArmoRM would initialize"):
            scores(other)


def test_another_reward_model_and_another_tokenizer(folder, tmp_path):
    assert re.search(r"lacks gating\.layers\.0\.bias, .* and 6 more, so", problem(reward_folder(tmp_path / "other")))
    own = armorm_folder(tmp_path / "model")
    tokenizer = llama3_tokenizer()
    tokenizer.chat_template = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}"
    tokenizer.save_pretrained(own)
    with pytest.raises(ValueError, match=r"its chat template does not write '<\|eot_id\|>.* before a response"):
        scores(own)
    assert "its chat template does not write" in problem(own)
    reward_folder(tmp_path / "third")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (own / name).write_bytes((tmp_path / "third" / name).read_bytes())
    assert "its tokenizer has no <|eot_id|>, <|start_header_id|>, <|end_header_id|>, which" in problem(own)


def test_the_shipped_shape_is_that_of_the_model():
    from apm_exp.data.rewards.armorm import config_here

    known = json.loads(
        (config_here(path="RLHFlow/ArmoRM-Llama3-8B-v0.1", revision="f" * 40) / "config.json").read_text()
    )
    assert (known["num_objectives"], known["vocab_size"], known["hidden_size"]) == (19, 128257, 4096)
