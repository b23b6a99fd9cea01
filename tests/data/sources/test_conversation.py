import json

import pytest

from apm_exp.data.sources.conversation import Conversations, split_pair
from apm_exp.data.sources.rows import BadRow
from tests.data.sources.sources import turn

USER, SYSTEM = turn("user", "question"), turn("system", "be kind")
GOOD, BAD = turn("assistant", "good"), turn("assistant", "bad")
EARLIER = [turn("user", "hello"), turn("assistant", "hi")]


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"prompt": "question", "chosen": "good", "rejected": "bad"}, [USER]),
        ({"prompt": [SYSTEM, USER], "chosen": "good", "rejected": "bad"}, [SYSTEM, USER]),
        ({"prompt": "question", "chosen": [GOOD], "rejected": [BAD]}, [USER]),
        ({"prompt": [*EARLIER, USER], "chosen": [GOOD], "rejected": [BAD]}, [*EARLIER, USER]),
        ({"chosen": [*EARLIER, USER, GOOD], "rejected": [*EARLIER, USER, BAD]}, [*EARLIER, USER]),
        ({"prompt": "question", "chosen": [SYSTEM, USER, GOOD], "rejected": [SYSTEM, USER, BAD]}, [SYSTEM, USER]),
        ({"prompt": "hello", "chosen": [*EARLIER, USER, GOOD], "rejected": [*EARLIER, USER, BAD]}, [*EARLIER, USER]),
        ({"prompt": [SYSTEM, USER], "chosen": [SYSTEM, USER, GOOD], "rejected": [SYSTEM, USER, BAD]}, [SYSTEM, USER]),
        ({"prompt": [SYSTEM, USER], "chosen": [USER, GOOD], "rejected": [USER, BAD]}, [SYSTEM, USER]),
        ({"prompt": [USER], "chosen": [SYSTEM, USER, GOOD], "rejected": [SYSTEM, USER, BAD]}, [SYSTEM, USER]),
        (
            {"prompt": EARLIER[:1], "chosen": [*EARLIER[1:], USER, GOOD], "rejected": [*EARLIER[1:], USER, BAD]},
            [*EARLIER, USER],
        ),
    ],
    ids=[
        "texts",
        "prompt messages and texts",
        "prompt text and answer messages",
        "TRL messages",
        "TRL implicit prompt",
        "SimPO with a system turn",
        "SimPO: turns win over a text prompt",
        "prompt repeated",
        "prompt column has a system turn more",
        "chosen has a system turn more",
        "answers of several turns",
    ],
)
def test_prompt_and_answers_of_every_form(row, prompt):
    assert split_pair(row) == Conversations(prompt, GOOD, BAD, None)


def test_a_transcript_becomes_turns_with_the_last_one_as_answer():
    start = "\n\nHuman: hello\n\nAssistant: hi\n\nHuman: question \n on two lines\n\nAssistant:"
    both = split_pair({"chosen": f"{start} good", "rejected": f"{start} bad\n\n"})
    assert both.prompt == [*EARLIER, turn("user", "question \n on two lines")]
    assert (both.chosen, both.rejected) == (GOOD, BAD)


def test_an_open_transcript_as_prompt_column_becomes_turns():
    row = {"prompt": "\n\nHuman: question\n\nAssistant:", "chosen": " good", "rejected": " bad"}
    assert split_pair(row) == Conversations([USER], turn("assistant", " good"), turn("assistant", " bad"), None)


def test_a_text_prompt_that_only_speaks_of_humans_is_one_user_message():
    text = "Human: are we alone?"
    assert split_pair({"prompt": text, "chosen": "good", "rejected": "bad"}).prompt == [turn("user", text)]


def test_messages_keep_their_white_space_and_all_their_fields_that_are_not_empty():
    named = USER | {"name": "Ann", "tool_calls": None, "parts": []}
    good = turn("assistant", " good\n") | {"reasoning_content": "\nhm"}
    both = split_pair({"chosen": [named, good], "rejected": [named, BAD]})
    assert (both.prompt, both.chosen) == ([USER | {"name": "Ann"}], good)


CALL = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


def test_tool_calls_stand_for_a_content_and_the_tools_are_of_the_row():
    looked = {"role": "tool", "content": "12 degrees", "tool_call_id": "1"}
    both = split_pair({"prompt": [USER, CALLS, looked], "chosen": [CALLS], "rejected": [BAD], "tools": TOOLS})
    assert both == Conversations([USER, CALLS, looked], CALLS, BAD, TOOLS)
    without = {name: value for name, value in CALLS.items() if name != "content"}
    as_text = {"tool_calls": json.dumps([CALL]), "content": []}
    for calls, tools in ((without, json.dumps(TOOLS)), (without | as_text, TOOLS)):
        assert split_pair({"prompt": [USER], "chosen": [calls], "rejected": [BAD], "tools": tools}) == Conversations(
            [USER], CALLS, BAD, TOOLS
        )


def test_responses_that_differ_in_a_field_alone_are_a_pair():
    other = CALLS | {"tool_calls": [CALL | {"id": "2"}]}
    assert split_pair({"prompt": "question", "chosen": [CALLS], "rejected": [other]}).rejected == other
    with pytest.raises(BadRow, match="chosen equals rejected"):
        split_pair({"prompt": "question", "chosen": [CALLS], "rejected": [dict(CALLS)]})


def _row(**changes):
    return {"prompt": "question", "chosen": "good", "rejected": "bad"} | changes


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (_row(chosen=None), "null: chosen is null"),
        (_row(prompt=None), "null: prompt is null"),
        (_row(prompt=7), "wrong type: prompt is of type int, not text or messages"),
        (_row(chosen={"role": "assistant"}), "wrong type: chosen is of type dict, not text or messages"),
        (_row(chosen=["good"]), "wrong type: chosen[0] is not a message with role and content"),
        (_row(chosen=[{"role": "assistant"}]), "wrong type: chosen[0] is not a message with role and content"),
        (_row(chosen=[turn("assistant", None)]), "null: chosen[0].content is null"),
        (_row(chosen=[turn("assistant", {"x": 1})]), "wrong type: chosen[0].content is of type dict, not text"),
        (
            _row(chosen=[turn("assistant", ["x"])]),
            "content in parts: chosen[0].content has a part of type str; only text is read",
        ),
        (_row(tools=7), "wrong type: tools is not a list of objects, nor the JSON text of one"),
        (_row(tools="a hammer"), "wrong type: tools is not a list of objects, nor the JSON text of one"),
        (
            _row(chosen=[CALLS | {"tool_calls": "look"}]),
            "wrong type: chosen[0].tool_calls is not a list of objects, nor the JSON text of one",
        ),
        (
            _row(prompt=[USER | {"picture": b"x"}]),
            "wrong type: prompt[0] cannot be written as JSON: bytes is not a JSON type",
        ),
        (_row(prompt=[USER, turn("tool", None)]), "null: prompt[1].content is null"),
        (
            _row(chosen=[turn("gpt", "good")]),
            "unknown role: chosen[0].role is 'gpt', not one of assistant, developer, system, tool, user",
        ),
        (_row(chosen=[GOOD]), "wrong type: one of chosen and rejected is text and the other is messages"),
        (_row(chosen=[], rejected=[BAD]), "empty response: chosen has no messages"),
        (
            _row(chosen=[GOOD], rejected=[BAD, USER]),
            "last turn is not the assistant's: rejected ends with user's turn",
        ),
        (
            _row(chosen=[USER, GOOD], rejected=[SYSTEM, BAD]),
            "prompts differ: chosen and rejected differ before their last turn",
        ),
        (
            _row(prompt=[SYSTEM], chosen=[USER, GOOD], rejected=[USER, BAD]),
            "prompts differ: the prompt column and the turns before the response of chosen differ",
        ),
        (_row(prompt=" \n\t"), "empty prompt: no turn before the response has any text"),
        (_row(prompt=[]), "empty prompt: no turn before the response has any text"),
        (_row(prompt=[SYSTEM]), "empty prompt: no turn before the response has any text"),
        ({"chosen": [GOOD], "rejected": [BAD]}, "empty prompt: no turn before the response has any text"),
        (_row(chosen=" \n"), "empty response: chosen has no text"),
        (_row(rejected="\u3000"), "empty response: rejected has no text"),
        (_row(rejected="good "), "chosen equals rejected: the two responses are the same text"),
        (
            {"chosen": "no turns", "rejected": "none"},
            "not a transcript: chosen starts with 'no turns'; without a prompt column it must be messages or a "
            'transcript "Human: ... Assistant: ..."',
        ),
        (
            {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: c\n\nAssistant: d"},
            "prompts differ: chosen and rejected differ before their last turn",
        ),
        (
            {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a"},
            "last turn is not the assistant's: rejected ends with user's turn",
        ),
    ],
)
def test_what_is_no_pair_says_why(row, problem):
    with pytest.raises(BadRow) as caught:
        split_pair(row)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    "row",
    [
        _row(prompt=[USER, GOOD], chosen=[GOOD], rejected=[BAD]),
        _row(prompt=[USER, GOOD], chosen=[USER, GOOD], rejected=[USER, BAD]),
        _row(prompt=[USER, turn("assistant", "Sure, ")]),
    ],
)
def test_a_prompt_that_holds_a_response_is_refused(row):
    with pytest.raises(BadRow, match=r"^prompt ends with the assistant's turn: '(good|Sure, )'; leave that turn out"):
        split_pair(row)


@pytest.mark.parametrize("column", [{}, {"prompt": [USER, turn("assistant", "First.")]}])
def test_a_response_after_another_one_of_the_assistant_is_read(column):
    turns = [USER, turn("assistant", "First.")]
    row = column | {"chosen": [*turns, GOOD], "rejected": [*turns, BAD]}
    assert split_pair(row) == Conversations(turns, GOOD, BAD, None)
