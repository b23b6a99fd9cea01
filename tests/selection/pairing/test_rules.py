"""The pairing rules besides max_min, by hand."""

import pytest

from apm_exp.core.types import Refusal
from apm_exp.selection.pairing.delta_ucb import delta_ucb
from apm_exp.selection.pairing.max_random import max_random
from apm_exp.selection.pairing.sweet_spot import sweet_spot
from apm_exp.selection.pairing.threshold import most_pairs, threshold

TEXTS = ["a", "b", "c", "d", "e"]


def reason_of(result: object) -> str:
    assert isinstance(result, Refusal)
    return result.reason


def test_sweet_spot() -> None:
    """Mean 4, deviation (4 + 4 + 0 + 0 + 36 + 36) / 6 = 80 / 6, sqrt = 3.65: 4 - 3.65 = 0.35 and 4 - 7.30 = -3.30."""
    rewards = [10.0, 2.0, 4.0, 4.0, -2.0, 6.0]
    assert sweet_spot([*TEXTS, "f"], rewards, deviations=1.0) == [(0, 1)]
    assert sweet_spot([*TEXTS, "f"], rewards, deviations=2.0) == [(0, 4)]
    assert sweet_spot([*TEXTS, "f"], rewards, deviations=0.0) == [(0, 2)]  # the first of the two at the mean
    assert sweet_spot(["a", "b", "c", "d", "", "f"], rewards, deviations=2.0) == [(0, 1)]  # one with text


def test_max_random() -> None:
    rewards = [1.0, 3.0, 3.0, 2.0, 0.0]
    drawn = {max_random([*TEXTS[:4], f"e{n}"], rewards, seed=0)[0] for n in range(60)}  # type: ignore[index]
    assert drawn == {(1, 0), (1, 3), (1, 4)}  # never the other best one
    assert len({max_random(TEXTS, rewards, seed=seed)[0] for seed in range(60)}) == 3  # type: ignore[index]
    assert max_random(TEXTS, rewards, seed=5) == max_random(TEXTS, rewards, seed=5)
    assert max_random(["a", "b", "", "d", " "], [1.0, 3.0, 0.0, 3.0, 0.0], seed=1) == [(1, 0)]


@pytest.mark.parametrize(
    ("responses", "rewards", "reason"),
    [
        (["a", "b"], [1.0, 1.0], "tied rewards"),
        (["a", ""], [1.0, 2.0], "empty response"),
        (["a", ""], [2.0, 1.0], "empty response"),
    ],
)
def test_what_makes_no_pair_is_refused(responses: list[str], rewards: list[float], reason: str) -> None:
    assert reason_of(max_random(responses, rewards, seed=0)) == reason
    assert reason_of(sweet_spot(responses, rewards, deviations=2.0)) == reason


def test_threshold() -> None:
    """sigmoid(x) > 0.8 if x > log 4 = 1.386; with tau 2 the rewards must differ by more than 2.77."""
    rewards = [0.0, 1.4, 2.8]
    assert threshold(TEXTS[:3], rewards, tau=1.0, eta=0.8) == [(1, 0), (2, 0), (2, 1)]
    assert threshold(TEXTS[:3], rewards, tau=2.0, eta=0.8) == [(2, 0)]
    assert threshold(["a", "b", ""], rewards, tau=1.0, eta=0.8) == [(1, 0)]
    assert threshold(TEXTS[:3], [1.0, 1.0, 1e-300], tau=1e-9, eta=0.5) == [(0, 2), (1, 2)]
    assert reason_of(threshold(TEXTS[:3], rewards, tau=9.0, eta=0.8)) == "no pair above the threshold"
    assert most_pairs(3) == 3
    assert most_pairs(5) == 10


def test_delta_ucb() -> None:
    """Means 1, 0 and 0.6, deviations over the sources 0, 0 and 2."""
    columns = {"first": [1.0, 0.0, 2.6], "second": [1.0, 0.0, -1.4]}
    rewards = [1.0, 0.0, 0.6]
    assert delta_ucb(TEXTS[:3], rewards, columns, width=0.0) == [(0, 1)]
    assert delta_ucb(TEXTS[:3], rewards, columns, width=1.0) == [(2, 1)]  # 0.6 + 2 - 0; of (0, 2) it is 1 - 0.6 + 2
    assert delta_ucb(TEXTS[:3], [1.0, 0.9, 0.6], columns, width=1.0) == [(1, 2)]  # the labels are those of the rewards
    assert reason_of(delta_ucb(TEXTS[:3], [1.0, 0.6, 0.6], columns, width=1.0)) == "tied rewards"
    assert reason_of(delta_ucb(["a", "", ""], rewards, columns, width=1.0)) == "empty response"
