"""Why a rewritten prompt is refused: one case a reason, and prompts that only look like one."""

import pytest

from apm_exp.data.evolve.checks import problem_of
from apm_exp.data.evolve.strategies import ORDER, instruction

PARENT = "Write a short poem about the sea in winter."
REASONS = [
    ("", "empty"),
    ("Here is the rewritten prompt:\nWrite a sonnet about the sea in winter.", "introduction"),
    ("Here's a more challenging version of the prompt: write a sonnet about the sea.", "introduction"),
    ("Sure! Write a sonnet about the sea in winter.", "introduction"),
    ("**Rewritten Prompt:** Write a sonnet about the sea.", "introduction"),
    ("#New Prompt#\nWrite a sonnet about the sea in winter.", "introduction"),
    ("I'm sorry, but I can't help with rewriting this prompt.", "refused by the policy"),
    ("I\u2019m unable to rewrite this, as it is already hard.", "refused by the policy"),
    ("As an AI language model, I do not rewrite prompts.", "refused by the policy"),
    ("<prompt>\nWrite a sonnet about the sea in winter.\n</prompt>", "instruction repeated"),
    ("Make the prompt below somewhat harder: write a sonnet.", "instruction repeated"),
    ("  write a short  poem about the sea in winter. ".strip(), "unchanged"),
    ("A poem.", "length"),
    (PARENT * 5, "length"),
]
GOOD = [
    "Here is a list of words: sea, ice, gull. Write a short poem that uses all of them.",
    "Write a sonnet about the sea in winter in which no line has the letter z.",
    "Sorry states of ships in winter: write a poem.".replace("Sorry states", "The sorry states"),
    "I can see the sea in winter from my window. Write a poem about it in my voice.",
    "Surely the sea is cold in winter; write a poem that says why.",
    "Promptly describe the sea in winter in a poem of eight lines.",
]


@pytest.mark.parametrize(("text", "reason"), REASONS)
def test_each_reason(text: str, reason: str) -> None:
    problem = problem_of(text, finished=True, parent=PARENT, length_ratio=5)
    assert problem is not None
    assert problem.reason == reason


@pytest.mark.parametrize("text", GOOD)
def test_prompts_that_are_kept(text: str) -> None:
    assert problem_of(text, finished=True, parent=PARENT, length_ratio=5) is None


def test_a_rewrite_without_an_end_is_refused() -> None:
    problem = problem_of(GOOD[1], finished=False, parent=PARENT, length_ratio=5)
    assert problem is not None
    assert problem.reason == "truncated"


def test_the_length_ratio_is_exclusive_on_both_sides() -> None:
    """As in the paper's released filter: len(p) * ratio > len(parent), and the other way round."""

    def refused(characters: int) -> bool:
        return problem_of("x" * characters, finished=True, parent="y" * 20, length_ratio=2) is not None

    assert [refused(count) for count in (10, 11, 39, 40)] == [True, False, False, True]


def test_every_instruction_would_be_recognized_if_it_were_repeated() -> None:
    for strategy in ORDER:
        text = instruction(strategy, PARENT, before="user: Hello")
        problem = problem_of(text, finished=True, parent=PARENT * 20, length_ratio=1000)
        assert problem is not None
        assert problem.reason == "instruction repeated"
    assert ORDER[:2] == ("breadth", "deepening")  # the paper's "two types"
