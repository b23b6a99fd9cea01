import json

import pytest

from tests.data.sources.sources import as_rows, prepared, trl_row, turn

ASKED = turn("user", "question 0")
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "look"}}]}
GOOD = turn("assistant", "good answer 0")
CALLED = [ASKED, CALL, turn("tool", "blue")]
HELLO = [turn("user", "hello"), turn("assistant", "hi")]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("context", "a page of text"),
        ("conversations", [turn("user", "earlier")]),
        ("documents", [{"title": "a", "text": "b"}]),
        ("images", ["a.png"]),
        ("whatever", [turn("user", "earlier"), turn("assistant", "words")]),
        ("whatever", json.dumps([turn("user", "earlier")])),
        ("instruction", "another question"),
        ("reasoning", "because"),
        ("chosen_reasoning", "because of this"),
        ("System_Message", "be kind now"),
        ("passage", "a page of text"),
        ("chosen_response", "another"),
        ("initial_reason_steps", "first this"),
        ("prefix", "Sure, "),
    ],
)
def test_a_column_that_looks_like_conversation_and_is_not_read_is_named(tmp_path, caplog, column, value):
    prepared(tmp_path, as_rows([trl_row(0, **{column: value}), trl_row(1)]))
    (message,) = (record.getMessage() for record in caplog.records)
    assert message == (
        "dataset.path=rows.jsonl: columns that look like a part of the conversation are not used: "
        f"{column} (in 1 of 2 pairs); add to the prompt what belongs there"
    )


@pytest.mark.parametrize(
    "row",
    [
        trl_row(),
        trl_row(messages=[ASKED, GOOD], context=None, images=[], dialogue=""),
        trl_row(messages=json.dumps([ASKED, GOOD]), question="question 0"),
        trl_row(chosen=[ASKED, GOOD], rejected=[ASKED, turn("assistant", "bad")], prompt="<user> question 0"),
        trl_row(
            chosen=[*HELLO, ASKED, GOOD],
            rejected=[*HELLO, ASKED, turn("assistant", "bad")],
            prompt="<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\nhi<|im_end|>\nHuman: question 0",
        ),
        trl_row(
            prompt="hello",
            chosen=[HELLO[1], ASKED, GOOD],
            rejected=[HELLO[1], ASKED, turn("assistant", "bad")],
        ),
        trl_row(chosen_response="good answer 0", rejected_response="bad answer 0"),
        trl_row(note=[1, 2], source="web", score_text="0.5"),
        trl_row(prompt=CALLED, chosen=[GOOD], rejected=[CALL], messages=[*CALLED, GOOD]),
        trl_row(prompt_hash="a0b1", question_number=3, messages_count="12", all_generated_answers=["a"]),
    ],
)
def test_what_is_in_the_pair_or_says_nothing_is_not(tmp_path, caplog, row):
    prepared(tmp_path, as_rows([row]))
    assert caplog.records == []


@pytest.mark.parametrize(
    "fields", [{"tool_calls": CALL["tool_calls"]}, {"language": "English", "toxic": False, "weight": 1}]
)
def test_what_messages_have_besides_their_text_is_read(tmp_path, caplog, fields):
    prompt = [ASKED, turn("assistant", "let me see") | fields, turn("tool", "blue")]
    prepared(tmp_path, as_rows([trl_row(prompt=prompt, chosen=[GOOD], rejected=[turn("assistant", "bad")])]))
    assert caplog.records == []


@pytest.mark.parametrize("prompt", ["question 0", "Reply in French. other", "[INST] Be kind! other [/INST]"])
def test_a_text_prompt_that_the_turns_of_chosen_lack_is_named(tmp_path, caplog, prompt):
    turns = [turn("user", "other")]
    row = trl_row(prompt=prompt, chosen=[*turns, GOOD], rejected=[*turns, turn("assistant", "bad")])
    prepared(tmp_path, as_rows([row]))
    assert "not used: prompt (in 1 of 1 pairs)" in caplog.text
