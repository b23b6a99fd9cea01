from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.data.worlds.micro_world.instructions import VOCABULARY
from apm_exp.data.worlds.micro_world.true_reward import edit_distance, true_reward


@pytest.mark.parametrize(
    ("prompt", "response", "reward"),
    [
        ("copy : a b c", "answer : a b c .", 0.6 + 0.2 + 0.1 + 0.1),
        ("copy : a b c", "a b c", 0.6 + 0.2),
        ("copy : a b c", "a b d", 0.6 * 2 / 3),
        ("reverse : a b c", "a b c", 0.6 * 1 / 3),
        ("sort : c a b", "ok a b c", 0.6 + 0.2 - 0.1),
        ("unique : a b a c", "a b a c .", 0.6 * 3 / 4 + 0.1),
        ("last 2 : a b c d", "d", 0.6 * 1 / 2),
        ("replace a by b : a c a", "answer : b c", 0.6 * 2 / 3 + 0.1),
        ("double : a b c", "a b c", 0.6 * 3 / 6),
        ("count a : a b a", "answer : 2 .", 1.0),
        ("count a : a b a", "3", 0.0),
    ],
)
def test_reward_of_each_family(prompt: str, response: str, reward: float) -> None:
    assert true_reward(prompt, response) == pytest.approx(reward)


@pytest.mark.parametrize(
    ("response", "reward"),
    [
        ("", 0.0),
        (".", 0.1),
        ("answer :", 0.1),
        ("answer : .", 0.2),
        ("well", -0.1),
        ("a b c hm", 0.7),  # idle words count once, wherever they stand, and are not part of the answer
        ("a so b let c me", 0.7),
        ("well answer : a b c", 0.8),  # 0.6 + 0.2 + 0.1 - 0.1
        ("a b c answer :", 0.6 * 3 / 5),  # no prefix: two words too many
        ("a . b c", 0.6 * 3 / 4),  # a full stop only counts at the end
    ],
)
def test_reward_of_style(response: str, reward: float) -> None:
    assert true_reward("copy : a b c", response) == pytest.approx(reward)


def test_only_a_task_has_a_reward() -> None:
    with pytest.raises(ValueError, match="not a task"):
        true_reward("Say hello", "hello")


WORDS = st.lists(st.sampled_from(VOCABULARY), max_size=24)


@given(WORDS)
def test_reward_lies_between_its_bounds(words: list[str]) -> None:
    assert -0.1 <= true_reward("reverse : a b c d", " ".join(words)) <= 1 + 1e-12


@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_edit_distance_is_the_recursive_definition(first: list[str], second: list[str]) -> None:
    @cache
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        changed = distance(i - 1, j - 1) + (first[i - 1] != second[j - 1])
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, changed)

    assert edit_distance(first, second) == distance(len(first), len(second))
