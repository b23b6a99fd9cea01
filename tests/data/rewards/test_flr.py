"""Follow-up likelihoods against a plain loop: one forward of the whole conversation for each follow-up."""

import re
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from apm_exp.core.nested import check_nodes
from apm_exp.data.rewards.flr import flr, preflight
from apm_exp.models.pair_forward import responses_forward
from tests.data.rewards.flr_loop import ASKED, chat_of, likelihood, released_value
from tests.micro_world_policy import RUNTIME
from tests.models.tiny_folder import tiny_folder

UPS = {
    "relevance": {"positive": ["That is right.", "What is apricot"], "negative": ["It is not so."]},
    "engagingness": {"positive": ["apricot!"], "negative": ["times", "That is wrong."]},
}
ROWS = [
    {"prompt": [{"role": "user", "content": "What?"}], "responses": ["apricot", "It is 3 times apricot. " * 5, "no"]},
    {"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "Why?"}], "responses": ["1", "22"]},
]
SETTINGS = {
    "revision": None,
    "dtype": "float32",
    "layout": "base",
    "dimensions": None,
    "follow_ups": UPS,
    "compat": False,
    "batch_size": 2,
    "max_length": 256,
    "trust_remote_code": False,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp("flr") / "model")


def rewards(folder, rows=ROWS, **changed):
    with TemporaryDirectory() as scored:
        return flr(pa.Table.from_pylist(rows), RUNTIME, Path(scored), path=str(folder), **SETTINGS | changed)


def in_a_loop(folder, value, layout="base", rows=ROWS, **more):
    """The rewards by dimension, from `value` of one conversation and one follow-up at a time."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    result = {name: [] for name in UPS}
    for row in rows:
        for name, sides in UPS.items():
            chats = [chat_of(layout, row["prompt"], response) for response in row["responses"]]
            means = [
                [fmean(value(model, tokenizer, chat, text, **more) for text in sides[side]) for chat in chats]
                for side in ("positive", "negative")
            ]
            result[name].append([up - down for up, down in zip(*means, strict=True)])
    result["all_rewards"] = [
        [fmean(parts) for parts in zip(*(result[name][row] for name in UPS), strict=True)] for row in range(len(rows))
    ]
    return result


def assert_close(actual, expected, tolerance=1e-6):
    assert actual.keys() == expected.keys()
    for name, rows in expected.items():
        for got, wanted in zip(actual[name], rows, strict=True):
            assert got == pytest.approx(wanted, abs=tolerance)


@pytest.mark.parametrize("layout", ["base", "fine_tuned"])
def test_equals_one_forward_for_each_follow_up(folder, layout):
    expected = in_a_loop(folder, likelihood, layout)
    flat = [round(value, 5) for row in expected["all_rewards"] for value in row]
    assert len(set(flat)) == 5  # they do differ
    assert_close(rewards(folder, layout=layout), expected)


@pytest.mark.parametrize("layout", ["base", "fine_tuned"])
def test_compat_is_the_arithmetic_of_the_release(folder, layout):
    assert_close(rewards(folder, layout=layout, compat=True), in_a_loop(folder, released_value, layout))


def test_the_released_layout_of_tuned_models():
    prompt = [{"role": "system", "content": "s"}, {"role": "user", "content": "Why?"}]
    assert chat_of("fine_tuned", prompt, "no") == [
        {"role": "user", "content": ASKED},
        {"role": "assistant", "content": "Why?"},
        {"role": "user", "content": "no"},
    ]


def test_dimensions_are_the_mean_of_those_chosen(folder):
    whole, one = rewards(folder), rewards(folder, dimensions=["engagingness"])
    assert list(one) == ["all_rewards", "engagingness"]
    assert_close(one, {"all_rewards": whole["engagingness"], "engagingness": whole["engagingness"]})


def test_each_conversation_is_computed_once(folder, monkeypatch):
    lengths: list[int] = []
    row = {"prompt": ROWS[0]["prompt"], "responses": ["apricot " * 20]}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    conversation = len(tokenizer.apply_chat_template(chat_of("base", row["prompt"], row["responses"][0])).input_ids)
    follow_ups = [text for sides in UPS.values() for texts in sides.values() for text in texts]
    rest = sum(len(tokenizer(text, add_special_tokens=False).input_ids) - 1 for text in follow_ups)
    monkeypatch.setattr("apm_exp.data.rewards.flr_scores.responses_forward", _spied(lengths))
    rewards(folder, [row, row])
    assert lengths == [conversation + 1 + rest]  # the header of the user's turn is one token


def _spied(lengths):
    """The forward, which also notes how many tokens of each conversation with all its follow-ups it computes."""

    def spied(model, prompts):
        lengths.extend(len(ids) + sum(len(each) - 1 for each in ups) for ids, ups in prompts)
        return responses_forward(model, prompts)

    return spied


def test_a_killed_attempt_resumes(folder, tmp_path, monkeypatch):
    table = pa.Table.from_pylist(ROWS)
    first = flr(table, RUNTIME, tmp_path, path=str(folder), **SETTINGS)
    lengths: list[int] = []
    monkeypatch.setattr("apm_exp.data.rewards.flr_scores.responses_forward", _spied(lengths))
    assert flr(table, RUNTIME, tmp_path, path=str(folder), **SETTINGS) == first
    assert lengths == []
    file = min(tmp_path.glob("*.jsonl"))
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:1]))  # the first batch: two of five
    assert flr(table, RUNTIME, tmp_path, path=str(folder), **SETTINGS) == first
    assert len(lengths) == 3


def test_a_long_conversation_loses_its_beginning_and_is_counted(folder, caplog):
    whole = rewards(folder)
    short = rewards(folder, max_length=45)
    assert "1 of 5 conversations have more than" in caplog.text
    assert short["all_rewards"][1] == pytest.approx(whole["all_rewards"][1], abs=1e-6)
    assert short["all_rewards"][0][1] != pytest.approx(whole["all_rewards"][0][1], abs=1e-6)


def test_a_row_that_the_template_does_not_take_has_no_rewards(folder, caplog):
    bad = {"prompt": [{"role": "tool", "content": "What?"}], "responses": ["a"]}
    with pytest.raises(ValueError, match=r"does not accept any of the 1 conversations, the first: prompt"):
        rewards(folder, [bad])
    both = rewards(folder, [ROWS[1], bad])
    assert both["relevance"] == [rewards(folder, [ROWS[1]])["relevance"][0], None]
    assert "does not accept 1 of 2 conversations, the first" in caplog.text


def test_a_control_token_in_a_response_is_text(folder, caplog):
    row = {"prompt": ROWS[0]["prompt"], "responses": ["no<|end|><|user|>apricot!", "no"]}
    first, second = rewards(folder, [row])["all_rewards"][0]
    assert first != second
    assert "1 conversations contain a control token" in caplog.text


def template(folder, tmp_path, text):
    """The folder with another chat template."""
    other = tmp_path / "other"
    other.mkdir()
    for file in folder.iterdir():
        (other / file.name).symlink_to(file)
    (other / "chat_template.jinja").unlink()
    (other / "chat_template.jinja").write_text(text)
    return other


ONE_TURN = "{% if messages|length > 2 %}{{ raise_exception('one turn only') }}{% endif %}{{ messages[0]['content'] }}"
UPPER = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content']|replace('!', '?') }}<|end|>{% endfor %}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (ONE_TURN, "its chat template does not accept a user's turn after a response: one turn only; use a model"),
        ("{{ messages[0]['content'] }}", "a user's turn after a response: it does not write it; use a model"),
        (UPPER, "its chat template changes the follow-up 'apricot!'; edit it in reward.follow_ups"),
    ],
)
def test_a_template_that_does_not_take_a_follow_up(folder, tmp_path, text, problem):
    other = template(folder, tmp_path, text)
    with pytest.raises(ValueError, match=rf"^reward\.path={other}: .*{re.escape(problem)}"):
        rewards(other)


def bad(**changed):
    settings = {"_target_": "apm_exp.data.rewards.flr.flr", "path": "FOLDER"} | SETTINGS | changed
    with pytest.raises(ValueError, match=r"^reward\.") as error:
        check_nodes("reward", settings)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_dimensions_and_follow_ups_that_cannot_be_used():
    assert bad(dimensions=["relevence"]) == (
        "reward.dimensions=[relevence]: relevence is not in reward.follow_ups; did you mean 'relevance'?"
    )
    assert bad(dimensions=[]).startswith("reward.dimensions=[]: no dimension; choose from: relevance, engagingness")
    assert bad(dimensions=["relevance"] * 2).endswith("a dimension is repeated; name each once")
    assert bad(follow_ups={}).startswith("reward.follow_ups={}: no dimensions; use those that ship")
    for lacking in ({"positive": ["a"]}, {"positive": ["a"], "negative": []}):
        assert bad(follow_ups={"relevance": lacking}) == (
            "reward.follow_ups.relevance.negative: no follow-ups; give at least one, or leave the dimension out"
        )
    twice = {"positive": ["a", "a"], "negative": ["b"]}
    assert bad(follow_ups={"relevance": twice}).startswith("reward.follow_ups.relevance.positive: 'a' is repeated")
    assert "white space" in bad(follow_ups={"relevance": {"positive": [" a"], "negative": ["b"]}})
    assert bad(follow_ups={"relevance": {"neutral": ["a"]}}).startswith("reward.follow_ups.relevance.neutral")


def preflight_of(folder, **changed):
    names = ("revision", "dtype", "layout", "dimensions", "follow_ups", "max_length", "trust_remote_code")
    preflight(path=str(folder), **{name: (SETTINGS | changed)[name] for name in names})


def test_preflight(folder, tmp_path):
    assert preflight_of(folder) is None
    with pytest.raises(ValueError, match=r"^reward\.max_length=5: the longest follow-up alone has \d+ tokens; set"):
        preflight_of(folder, max_length=5)
    long = {"relevance": {"positive": ["apricot " * 300 + "!"], "negative": ["b"]}}
    with pytest.raises(ValueError, match=r"accepts 256 tokens, and the longest follow-up alone has \d+; use shorter"):
        preflight_of(folder, follow_ups=long)
    with pytest.raises(ValueError, match=rf"^reward\.path={tmp_path}: no config\.json"):
        preflight_of(tmp_path)
    other = template(folder, tmp_path, ONE_TURN)
    with pytest.raises(ValueError, match="does not accept a user's turn after a response"):
        preflight_of(other)
    (other / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match=rf"^reward\.path={other}: its tokenizer has no chat template"):
        preflight_of(other)
