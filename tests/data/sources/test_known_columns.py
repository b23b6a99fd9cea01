"""Rows of other programs: each is read whole, or refused by name."""

import json

import pytest

from apm_exp.data.sources.conversation import Conversations, split_pair
from apm_exp.data.sources.known_columns import with_known_columns
from apm_exp.data.sources.rows import BadRow
from tests.data.sources.sources import turn

ASKED, SYSTEM = turn("user", "why?"), turn("system", "be kind")
GOOD, BAD = turn("assistant", "so"), turn("assistant", "no")
HELLO = [turn("user", "hello"), turn("assistant", "hi")]
TEXTS = {"chosen": "so", "rejected": "no"}
TURNS = {"chosen": [GOOD], "rejected": [BAD]}
TOOLS = [{"type": "function", "function": {"name": "look"}}]


def read(row):
    return split_pair(with_known_columns(row))


def part(text, kind="text"):
    return [{"type": kind, "text": text}]


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"system": "be kind", "prompt": "why?", **TEXTS}, [SYSTEM, ASKED]),
        ({"system_prompt": "be kind", "prompt": "why?", **TEXTS}, [SYSTEM, ASKED]),
        ({"system": "be kind", "prompt": [ASKED], **TURNS}, [SYSTEM, ASKED]),
        ({"system": "be kind", "prompt": [SYSTEM, ASKED], **TURNS}, [SYSTEM, ASKED]),
        ({"system": "be kind", "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}, [SYSTEM, ASKED]),
        ({"system": "", "history": [], "input": "", "prompt": "why?", **TEXTS}, [ASKED]),
        ({"system": None, "history": None, "input": None, "prompt": "why?", **TEXTS}, [ASKED]),
        ({"history": [["hello", "hi"]], "prompt": "why?", **TEXTS}, [*HELLO, ASKED]),
        ({"system": " ", "history": "[]", "prompt": "why?", **TEXTS}, [ASKED]),
        ({"history": '[["hello", "hi"]]', "prompt": "why?", **TEXTS}, [*HELLO, ASKED]),
        ({"history": json.dumps(HELLO), "prompt": "why?", **TEXTS}, [*HELLO, ASKED]),
        ({"history": HELLO, "system": "be kind", "prompt": "why?", **TEXTS}, [SYSTEM, *HELLO, ASKED]),
        ({"history": [["hello", "hi"]], "prompt": [SYSTEM, ASKED], **TURNS}, [SYSTEM, *HELLO, ASKED]),
        ({"history": [["hello", "hi"]], "prompt": [*HELLO, ASKED], **TURNS}, [*HELLO, ASKED]),
        ({"instruction": "why?", "input": "", **TEXTS}, [ASKED]),
        ({"instruction": "Sum up", "input": "a text", **TEXTS}, [turn("user", "Sum up\na text")]),
        ({"instruction": "Spell this word", "input": "word", **TEXTS}, [turn("user", "Spell this word\nword")]),
        ({"instruction": "i", "input": "in", **TEXTS}, [turn("user", "i\nin")]),
        ({"prompt": "Sum up", "input": "a text", **TEXTS}, [turn("user", "Sum up\na text")]),
        ({"prompt": "Sum up: a text", "input": "a text", **TEXTS}, [turn("user", "Sum up: a text")]),
        ({"input": "why?", "system": "be kind", **TEXTS}, [SYSTEM, ASKED]),
        (
            {
                "input": json.dumps({"messages": [SYSTEM, ASKED]}),
                "preferred_output": [GOOD],
                "non_preferred_output": [BAD],
            },
            [SYSTEM, ASKED],
        ),
        ({"input": '{"messages": 3}', **TEXTS}, [turn("user", '{"messages": 3}')]),
        ({"tools": "null", "prompt": "why?", **TEXTS}, [ASKED]),
        ({"instruction": "why?", "chosen_response": "so", "rejected_response": "no"}, [ASKED]),
        ({"system": "be kind", "question": "why?", **TEXTS}, [SYSTEM, ASKED]),
        ({"messages": [*HELLO, ASKED], **TURNS}, [*HELLO, ASKED]),
        (
            {"prompt": json.dumps([SYSTEM, ASKED]), "chosen": json.dumps([GOOD]), "rejected": json.dumps([BAD])},
            [SYSTEM, ASKED],
        ),
        ({"prompt": "why?", "chosen": json.dumps([ASKED, GOOD]), "rejected": json.dumps([ASKED, BAD])}, [ASKED]),
        ({"prompt": "why?", "chosen": GOOD, "rejected": json.dumps(BAD)}, [ASKED]),
        (
            {"prompt": "hello", "chosen": [HELLO[1], ASKED, GOOD], "rejected": [HELLO[1], ASKED, BAD]},
            [*HELLO, ASKED],
        ),
        (
            {
                "prompt": {"role": ["system", "user"], "content": ["be kind", "why?"]},
                "chosen": {"role": ["assistant"], "content": ["so"]},
                "rejected": {"role": ["assistant"], "content": ["no"]},
            },
            [SYSTEM, ASKED],
        ),
        (
            {
                "prompt": [{"role": "user", "content": part("why?")}],
                "chosen": [{"role": "assistant", "content": part("so")}],
                "rejected": [{"role": "assistant", "content": part("no", "output_text")}],
            },
            [ASKED],
        ),
        (
            {
                "conversations": [
                    {"from": "system", "value": "be kind"},
                    {"from": "human", "value": "hello"},
                    {"from": "gpt", "value": "hi"},
                    {"from": "human", "value": "why?"},
                ],
                "chosen": {"from": "gpt", "value": "so"},
                "rejected": {"from": "gpt", "value": "no"},
            },
            [SYSTEM, *HELLO, ASKED],
        ),
        (
            {"input": {"messages": [SYSTEM, ASKED], "tools": [], "parallel_tool_calls": True}}
            | {"preferred_output": [GOOD], "non_preferred_output": [BAD]},
            [SYSTEM, ASKED],
        ),
    ],
)
def test_rows_of_other_programs_are_read_whole(row, prompt):
    assert read(row) == Conversations(prompt, GOOD, BAD, None)


def test_a_function_call_of_sharegpt_is_the_assistants_tool_call():
    call = {"name": "look", "arguments": {"at": "Oslo"}}
    turns = [
        {"from": "human", "value": "why?"},
        {"from": "function_call", "value": json.dumps(call)},
        {"from": "observation", "value": "12"},
    ]
    calls = {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": call}]}
    row = {"conversations": turns, "tools": json.dumps(TOOLS), **TURNS}
    assert read(row) == Conversations([ASKED, calls, turn("tool", "12")], GOOD, BAD, TOOLS)


def test_the_tools_of_openais_rows_are_the_rows():
    row = {"input": {"messages": [ASKED], "tools": TOOLS}, "preferred_output": [GOOD], "non_preferred_output": [BAD]}
    assert read(row).tools == TOOLS


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (
            {"question": "why?", "messages": [ASKED], **TEXTS},
            "two prompts: question and messages could each be the prompt",
        ),
        ({"system": "a", "system_prompt": "b", "prompt": "c", **TEXTS}, "two system prompts: system and system_prompt"),
        ({"system": "a", "prompt": [SYSTEM, ASKED], **TURNS}, "prompts differ: the column system and the system turn"),
        ({"system": ["a"], "prompt": "why?", **TEXTS}, "wrong type: system is of type list, not text"),
        ({"history": [["a"]], "prompt": "why?", **TEXTS}, "wrong type: history is not a list of pairs of texts"),
        ({"history": "a", "prompt": "why?", **TEXTS}, "wrong type: history is text; write a list of pairs of texts"),
        ({"history": [["a", "b"]], "prompt": [*HELLO, ASKED], **TURNS}, "prompts differ: the column history and"),
        ({"prompt": "why?", "chosen": json.dumps([GOOD]), "rejected": "no"}, "wrong type: one of chosen and rejected"),
        (
            {"prompt": "why?", "chosen": str([GOOD]), "rejected": "no"},
            "JSON text: chosen starts as the text of messages",
        ),
        ({"prompt": json.dumps([ASKED])[:-1], **TEXTS}, "JSON text: prompt starts as the text of messages and is not"),
        ({"prompt": [turn("user", part("a") + part("b"))], **TURNS}, "content in parts: prompt[0].content has 2 parts"),
        (
            {"prompt": [turn("user", part("a", "image_url"))], **TURNS},
            "content in parts: prompt[0].content has a part of",
        ),
        (
            {"conversations": [{"from": "function_call", "value": "look!"}], **TURNS},
            "unknown role: prompt[0] is a function_call that is not JSON with name and arguments",
        ),
        (
            {"conversations": [{"from": "narrator", "value": "a"}], **TURNS},
            "unknown role: prompt[0].from is 'narrator'",
        ),
        (
            {"prompt": {"role": ["user"], "content": []}, **TURNS},
            "wrong type: prompt is a struct of lists of different",
        ),
    ],
)
def test_what_is_not_unambiguous_is_refused_by_name(row, problem):
    with pytest.raises(BadRow) as caught:
        read(row)
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize(
    "text",
    [
        "[{'content': 'no', 'role': 'assistant'}]",
        "[{'content': 'why?', 'role': 'user'}\n {'content': 'no', 'role': 'assistant'}]",
        "{'role': 'assistant', 'content': 'no'}",
        '[{"from": "gpt", "value": "no"',
    ],
)
def test_what_python_prints_of_messages_is_refused(text):
    with pytest.raises(BadRow, match="JSON text: rejected starts as the text of messages and is not their JSON"):
        read({"prompt": "why?", "chosen": "so", "rejected": text})


def test_a_response_that_is_other_json_is_text():
    for text in (
        '{"content": "a", "value": 1}',
        '[{"value": "a"}]',
        "{'role': 'king'}",
        '{"from": "Oslo", "to": "Rome"}',
    ):
        assert read({"prompt": "why?", "chosen": "so", "rejected": text}).rejected == turn("assistant", text)


def test_json_that_is_no_messages_is_text():
    text = '{"role": "king", "content": "a crown"}'
    assert read({"prompt": text, "chosen": "[1, 2]", "rejected": "{"}).prompt == [turn("user", text)]


def test_a_conversation_beside_responses_that_bring_it_is_left_alone():
    row = {"question": "other", "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}
    assert with_known_columns(row) == row
    transcripts = {
        "input": "other",
        "chosen": "\n\nHuman: why?\n\nAssistant: so",
        "rejected": "\n\nHuman: why?\n\nAssistant: no",
    }
    assert read(transcripts).prompt == [ASKED]
