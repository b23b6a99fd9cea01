"""What can make no pair, whatever the pairing rule."""

import math

import pytest

from apm_exp.core.types import Refusal
from apm_exp.data.generate.pair_rows import _chosen


def first_two(responses: list[str], rewards: list[float]) -> list[tuple[int, int]]:
    return [(0, 1)]


@pytest.mark.parametrize(
    ("responses", "rewards", "reason"),
    [
        (["a", "a", " a"], [1.0, 1.0, 2.0], "identical responses"),
        (["a"], [1.0], "identical responses"),
        (["a", "b"], [1.0, math.nan], "non-finite reward"),
        (["a", "b"], [math.inf, 1.0], "non-finite reward"),
        (["a", "b"], None, "no rewards"),
    ],
)
def test_responses_that_make_no_pair_are_refused(responses: list[str], rewards: list[float], reason: str) -> None:
    refusal = _chosen(responses, rewards, {}, first_two)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason
    assert _chosen(["a", "b"], [1.0, 2.0], {}, first_two) == [(0, 1)]
