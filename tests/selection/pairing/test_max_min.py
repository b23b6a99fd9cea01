import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.core.types import Refusal
from apm_exp.selection.pairing.max_min import max_min


@pytest.mark.parametrize(
    ("rewards", "pair"),
    [([0.5, 2.0, -1.0], (1, 2)), ([2.0, 2.0, 1.0], (0, 2)), ([1.0, 2.0, 1.0], (1, 0)), ([-1.0, -3.0, -3.0], (0, 1))],
)
def test_first_largest_against_first_smallest(rewards: list[float], pair: tuple[int, int]) -> None:
    assert max_min(["a", "b", "c"], rewards) == [pair]


@pytest.mark.parametrize(
    ("responses", "rewards", "reason"),
    [
        (["a", "b", "c"], [1.0, 1.0, 1.0], "tied rewards"),
        (["a", "b", ""], [1.0, 2.0, 0.0], "empty response"),
        (["a", "b", " \n"], [1.0, 2.0, 3.0], "empty response"),
    ],
)
def test_what_makes_no_pair_is_refused(responses: list[str], rewards: list[float], reason: str) -> None:
    refusal = max_min(responses, rewards)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason


def test_an_empty_response_between_the_two_does_no_harm() -> None:
    assert max_min(["a", "", "c"], [1.0, 0.5, 0.0]) == [(0, 2)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(-5, 5)), min_size=1, max_size=8))
def test_a_pair_spans_the_rewards(drawn: list[tuple[str, float]]) -> None:
    responses, rewards = [text for text, _ in drawn], [reward for _, reward in drawn]
    pairs = max_min(responses, rewards)
    if not isinstance(pairs, Refusal):
        ((best, worst),) = pairs
        assert rewards[best] == max(rewards) > rewards[worst] == min(rewards)
