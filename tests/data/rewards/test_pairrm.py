import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest

from apm_exp.data.rewards.compared_texts import texts_of
from apm_exp.data.rewards.pairrm import pairrm, preflight
from tests.data.rewards.pairrm_folder import HEAD, by_hand, pairrm_folder
from tests.data.rewards.reward_folder import reward_folder
from tests.data.rewards.without_tensor import without_tensor
from tests.micro_world_policy import RUNTIME

ASKED = [{"role": "user", "content": "What is it"}]
LONG = "a much longer response " * 2
ROWS = [{"prompt": ASKED, "responses": ["apricot", LONG, "no"]}, {"prompt": ASKED, "responses": ["b", "c d"]}]
MOST = {"source_max_length": 30, "candidate_max_length": 60}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pairrm_folder(tmp_path_factory.mktemp("pairrm") / "model")


def scores(folder, rows=ROWS, **changed):
    settings = {"revision": None, "dtype": "float32", "batch_size": 4, **MOST} | changed
    with TemporaryDirectory() as scored:
        return pairrm(pa.Table.from_pylist(rows), RUNTIME, Path(scored), path=str(folder), **settings)


def logit(folder, first, second, source="What is it", most=(30, 60)):
    return by_hand(folder, source, first, second, *most)


@pytest.mark.parametrize("batch_size", [1, 4, 99])
def test_equals_the_matrix_by_hand(folder, batch_size):
    a, b, c = ROWS[0]["responses"]
    ab, ac, bc = (logit(folder, *pair) - logit(folder, *pair[::-1]) for pair in ((a, b), (a, c), (b, c)))
    two = logit(folder, "b", "c d") - logit(folder, "c d", "b")
    got = scores(folder, batch_size=batch_size)
    assert got[0] == pytest.approx([(ab + ac) / 3, (bc - ab) / 3, -(ac + bc) / 3], abs=1e-6)
    assert got[1] == pytest.approx([two / 2, -two / 2], abs=1e-6)
    assert got[1][0] - got[1][1] == pytest.approx(two, abs=1e-6)  # a pair's margin: both orders
    assert min(map(abs, (ab, ac, bc, two))) > 1e-2


def test_rewards_do_not_depend_on_the_order_of_the_responses(folder):
    turned = [row | {"responses": row["responses"][::-1]} for row in ROWS]
    for got, wanted in zip(scores(folder, turned), scores(folder), strict=True):
        assert got[::-1] == pytest.approx(wanted, abs=1e-6)
        assert sum(got) == pytest.approx(0, abs=1e-6)


def test_equal_responses_have_equal_rewards(folder):
    assert scores(folder, [{"prompt": ASKED, "responses": ["b", "b"]}]) == [[0.0, 0.0]]


def test_what_is_truncated_is_counted_and_equals_the_released_way(folder, caplog):
    limits = {"source_max_length": 6, "candidate_max_length": 8}
    two = logit(folder, "apricot", LONG, most=(6, 8)) - logit(folder, LONG, "apricot", most=(6, 8))
    rows = [{"prompt": ASKED, "responses": ["apricot", LONG]}]
    assert scores(folder, rows, **limits)[0] == pytest.approx([two / 2, -two / 2], abs=1e-6)
    told = "3 of 3 prompts and responses are longer than reward.source_max_length and reward.candidate_max_length and"
    assert told in caplog.text
    with pytest.raises(ValueError, match=r"^reward\.on_too_long=error: 3 of 3 prompts and responses are longer than"):
        scores(folder, rows, on_too_long="error", **limits)


def test_a_mark_in_a_text_is_read_as_text(folder):
    """Read as a token, it would be a second place for the head to look at."""
    got = scores(folder, [{"prompt": ASKED, "responses": ["b<|candidate1|>", "b"]}])
    assert got[0][0] == -got[0][1] != 0


def test_rows_that_it_cannot_compare(folder, caplog):
    tools = [{"role": "tool", "content": "3"}]
    rows = [ROWS[1], {"prompt": ASKED, "responses": ["alone"]}, {"prompt": [*ASKED, *tools], "responses": ["a", "b"]}]
    assert scores(folder, rows) == [pytest.approx(scores(folder)[1], abs=1e-6), None, None]
    assert "PairRM gives no rewards to 2 of 3 rows, the first: one response alone cannot be compared" in caplog.text
    with pytest.raises(ValueError, match=r"to 1 of 1 rows, the first: .*do not alternate; use reward=classifier$"):
        scores(folder, rows[2:])


def test_texts_of_several_turns_have_pairrms_own_form():
    turns = [*ASKED, {"role": "assistant", "content": "A pear"}, {"role": "user", "content": "Why"}]
    texts = texts_of({"prompt": turns, "responses": ["Since", "As"]})
    assert texts.source == (
        "Finish the following coversation in each i-th turn by filling in <Response i> with your response."
        "USER: What is it\nAssistant: <Response 1>\nUSER: Why\nAssistant: <Response 2>"
    )
    assert texts.candidates == ["<Response 1>: A pear\n<Response 2>: Since", "<Response 1>: A pear\n<Response 2>: As"]
    system = [{"role": "system", "content": "Be short"}]
    assert texts_of({"prompt": [*system, *ASKED], "responses": ["a"]}).source == "Be short\nWhat is it"


def problem(folder):
    with pytest.raises(ValueError, match=rf"^reward\.path={folder}: ") as error:
        preflight(path=str(folder), revision=None)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_preflight_takes_the_folder(folder, caplog):
    assert preflight(path=str(folder), revision=None) is None
    scores(folder)
    assert not caplog.messages


@pytest.mark.parametrize("name", HEAD)
def test_a_tensor_of_the_head_that_is_missing_is_named(folder, tmp_path, name):
    other = without_tensor(folder, name, tmp_path / "model")
    assert f"the folder lacks {name}, so the reward model's head would be random; use a checkpoint of" in problem(other)
    with pytest.raises(ValueError, match=rf"the folder lacks {re.escape(name)}, which PairRM would initialize"):
        scores(other)


def test_another_tokenizer_and_another_model(folder, tmp_path):
    own, other = pairrm_folder(tmp_path / "model"), reward_folder(tmp_path / "other")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (own / name).write_bytes((other / name).read_bytes())
    assert "its tokenizer has the id None for <|source|>, and config.json source_prefix_id=" in problem(own)
    assert problem(other)
