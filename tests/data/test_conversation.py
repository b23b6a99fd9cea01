import pytest

from apm_exp.data.conversation import split_pair
from apm_exp.data.rows import BadRow
from tests.data.sources import turn

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
    assert split_pair(row) == (prompt, "good", "bad")


def test_a_transcript_becomes_turns_with_the_last_one_as_answer():
    start = "\n\nHuman: hello\n\nAssistant: hi\n\nHuman: question \n on two lines\n\nAssistant:"
    prompt, chosen, rejected = split_pair({"chosen": f"{start} good", "rejected": f"{start} bad\n\n"})
    assert prompt == [*EARLIER, turn("user", "question \n on two lines")]
    assert (chosen, rejected) == ("good", "bad")


def test_an_open_transcript_as_prompt_column_becomes_turns():
    row = {"prompt": "\n\nHuman: question\n\nAssistant:", "chosen": " good", "rejected": " bad"}
    assert split_pair(row) == ([USER], " good", " bad")


def test_a_text_prompt_that_only_speaks_of_humans_is_one_user_message():
    text = "Human: are we alone?"
    assert split_pair({"prompt": text, "chosen": "good", "rejected": "bad"})[0] == [turn("user", text)]


def test_answers_keep_their_white_space_and_messages_only_role_and_content():
    chosen = [USER | {"name": "Ann"}, turn("assistant", " good\n")]
    prompt, answer, _ = split_pair({"chosen": chosen, "rejected": [USER, BAD]})
    assert (prompt, answer) == ([USER], " good\n")


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
        (_row(chosen=[turn("assistant", ["x"])]), "wrong type: chosen[0].content is of type list, not text"),
        (
            _row(chosen=[turn("gpt", "good")]),
            "unknown role: chosen[0].role is 'gpt', not one of assistant, developer, system, tool, user",
        ),
        (_row(chosen=[GOOD]), "wrong type: one of chosen and rejected is text and the other is messages"),
        (_row(chosen=[], rejected=[BAD]), "empty answer: chosen has no messages"),
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
            "prompts differ: the prompt column and the turns before the answer of chosen differ",
        ),
        (_row(prompt=" \n\t"), "empty prompt: no turn before the answer has any text"),
        (_row(prompt=[]), "empty prompt: no turn before the answer has any text"),
        (_row(prompt=[SYSTEM]), "empty prompt: no turn before the answer has any text"),
        ({"chosen": [GOOD], "rejected": [BAD]}, "empty prompt: no turn before the answer has any text"),
        (_row(chosen=" \n"), "empty answer: chosen has no text"),
        (_row(rejected="\u3000"), "empty answer: rejected has no text"),
        (_row(rejected="good "), "chosen equals rejected: the two answers are the same text"),
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
