import pyarrow as pa
import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from apm_exp.rewards.classifier import _free_id, classifier
from tests.micro_world_policy import RUNTIME
from tests.models.tiny_folder import tiny_folder
from tests.rewards.reward_folder import alone, reward_folder

LONG = "a much longer answer, of many words, that is not like the other ones " * 2
ROWS = [
    {"prompt": [{"role": "user", "content": "What?"}], "responses": ["apricot", LONG, "no"]},
    {"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "Why?"}], "responses": ["1", "22"]},
]
SETTINGS = {"revision": None, "dtype": "float32", "max_length": 256, "trust_remote_code": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return reward_folder(tmp_path_factory.mktemp("reward") / "model")


def scores(folder, rows=ROWS, batch_size=8, **changed):
    table = pa.Table.from_pylist(rows)
    return classifier(table, RUNTIME, path=str(folder), batch_size=batch_size, **SETTINGS | changed)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_equals_each_text_scored_alone_whatever_the_batch(folder, batch_size):
    expected = [[alone(folder, row["prompt"], answer) for answer in row["responses"]] for row in ROWS]
    assert len({round(value, 3) for row in expected for value in row}) == 5  # they do differ
    for got, wanted in zip(scores(folder, batch_size=batch_size), expected, strict=True):
        assert got == pytest.approx(wanted, abs=1e-5)


def test_pad_token_that_is_the_end_token_changes_nothing(folder, tmp_path):
    same = reward_folder(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(same)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(same)
    save_file(load_file(folder / "model.safetensors"), same / "model.safetensors", {"format": "pt"})
    assert scores(same) == scores(folder)


def test_free_id():
    assert _free_id([[5, 0], [1]], 9) == 9
    assert _free_id([[5, 0], [1]], 5) == 2
    assert _free_id([[5, 0], [1]], None) == 2


def test_long_text_loses_its_end_and_is_counted(folder, caplog):
    got = scores(folder, max_length=30)
    assert got[0][1] == pytest.approx(alone(folder, ROWS[0]["prompt"], LONG, 30), abs=1e-5)
    [record] = caplog.records
    assert "1 of 5 responses have more than reward.max_length=30 tokens" in record.getMessage()


def test_nothing_to_score(folder):
    rows = [{"prompt": [{"role": "user", "content": "What?"}], "responses": ["a"]}]
    table = pa.Table.from_pylist(rows).slice(0, 0)
    assert classifier(table, RUNTIME, path=str(folder), batch_size=2, **SETTINGS) == []


def test_random_head_is_an_error(tmp_path):
    folder = tiny_folder(tmp_path / "model")  # a language model: as a classifier its head would be random
    with pytest.raises(ValueError, match=rf"^reward\.path={folder}: the folder lacks score\.weight, which LlamaForSeq"):
        scores(folder)


def test_two_labels_are_no_reward(tmp_path):
    with pytest.raises(ValueError, match="the model has 2 labels"):
        scores(reward_folder(tmp_path / "model", labels=2))


def test_no_chat_template(tmp_path):
    folder = reward_folder(tmp_path / "model")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match=rf"^reward\.path={folder}: its tokenizer has no chat template"):
        scores(folder)


def test_conversation_that_the_template_does_not_take(folder):
    rows = [{"prompt": [{"role": "tool", "content": "What?"}], "responses": ["a"]}]
    with pytest.raises(ValueError, match=r"does not take the conversation \(prompt starting 'What\?'\): no such role"):
        scores(folder, rows)


def test_missing_folder(tmp_path):
    with pytest.raises(ValueError, match=r"^reward\.path=.*/none: no such folder"):
        scores(tmp_path / "none")
