import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.data.worlds.micro_world.instructions import (
    DIGITS,
    FAMILIES,
    LETTERS,
    VOCABULARY,
    Task,
    draw_task,
    parse_task,
)


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("copy : a b c", "a b c"),
        ("reverse : a b c", "c b a"),
        ("sort : c a b a", "a a b c"),
        ("unique : b a b c a", "b a c"),
        ("last 2 : a b c d", "c d"),
        ("replace a by b : a c a", "b c b"),
        ("double : a b", "a a b b"),
        ("count a : a b a", "2"),
    ],
)
def test_each_family_has_one_right_answer(prompt: str, answer: str) -> None:
    assert " ".join(parse_task(prompt).answer) == answer


@given(st.sampled_from(FAMILIES), st.integers(0, 10_000))
def test_a_drawn_task_can_be_read_back_from_its_prompt(family: str, seed: int) -> None:
    task = draw_task(family, random.Random(seed))
    assert parse_task(task.prompt) == task
    assert 3 <= len(task.letters) <= 7
    assert set(task.prompt.split()) | set(task.answer) <= set(VOCABULARY)
    assert set(task.answer) <= set(DIGITS if family == "count" else LETTERS)


def test_the_words_are_all_different() -> None:
    assert len(VOCABULARY) == len(set(VOCABULARY)) == 35


def test_a_prompt_is_written_as_it_is_read() -> None:
    assert Task("replace", ("a", "by", "b"), ("a", "c", "d")).prompt == "replace a by b : a c d"


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "What is the capital of France?",
        "copy",
        "copy :",
        "copy : x y z",
        "copy a : a b c",
        "shuffle : a b c",
        "last : a b c",
        "last 4 : a b c",
        "last 0 : a b c",
        "count d : a b c",
        "replace a with b : a b c",
        "replace a by z : a b c",
    ],
)
def test_other_prompts_are_refused(prompt: str) -> None:
    with pytest.raises(ValueError, match="is not a task of the micro world"):
        parse_task(prompt)
