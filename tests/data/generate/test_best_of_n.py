import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.core.types import Refusal
from apm_exp.data.generate.best_of_n import best_and_worst


@pytest.mark.parametrize(
    ("rewards", "pair"),
    [([0.5, 2.0, -1.0], (1, 2)), ([2.0, 2.0, 1.0], (0, 2)), ([1.0, 2.0, 1.0], (1, 0)), ([-1.0, -3.0, -3.0], (0, 1))],
)
def test_first_largest_against_first_smallest(rewards: list[float], pair: tuple[int, int]) -> None:
    assert best_and_worst(["a", "b", "c"], rewards) == pair


@pytest.mark.parametrize(
    ("responses", "rewards", "reason"),
    [
        (["a", "a", " a"], [1.0, 1.0, 2.0], "identical responses"),
        (["a"], [1.0], "identical responses"),
        (["a", "b", "c"], [1.0, 1.0, 1.0], "tied rewards"),
        (["a", "b", ""], [1.0, 2.0, 0.0], "empty response"),
        (["a", "b", " \n"], [1.0, 2.0, 3.0], "empty response"),
        (["a", "b"], [1.0, math.nan], "non-finite reward"),
        (["a", "b"], [math.inf, 1.0], "non-finite reward"),
    ],
)
def test_what_makes_no_pair_is_refused(responses: list[str], rewards: list[float], reason: str) -> None:
    refusal = best_and_worst(responses, rewards)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason


def test_an_empty_response_between_the_two_does_no_harm() -> None:
    assert best_and_worst(["a", "", "c"], [1.0, 0.5, 0.0]) == (0, 2)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(-5, 5)), min_size=1, max_size=8))
def test_a_pair_spans_the_rewards(drawn: list[tuple[str, float]]) -> None:
    responses, rewards = [text for text, _ in drawn], [reward for _, reward in drawn]
    pair = best_and_worst(responses, rewards)
    if not isinstance(pair, Refusal):
        assert rewards[pair[0]] == max(rewards) > rewards[pair[1]] == min(rewards)
