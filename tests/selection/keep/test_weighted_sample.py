"""The keep rule that draws in proportion to the values."""

import numpy as np
import pytest

from apm_exp.selection.keep.weighted_sample import most_kept, weighted_sample

IDS = np.array(["a", "b", "c", "d"])


def test_one_pair_is_drawn_in_proportion_to_its_value() -> None:
    """Weights 1, 2, 0, 5 of 8: eva's sampling by max - min reward."""
    value_P, draws = np.array([1.0, 2.0, 0.0, 5.0]), 4000
    drawn_P = sum(weighted_sample(value_P, IDS, k=1, seed=seed).astype(int) for seed in range(draws)) / draws
    expected_P = np.array([1, 2, 0, 5]) / 8
    error_P = np.sqrt(expected_P * (1 - expected_P) / draws)
    assert (np.abs(drawn_P - expected_P) <= 4 * error_P).all()
    assert drawn_P[2] == 0


def test_two_pairs_are_drawn_without_replacement() -> None:
    """P(both a and b of weights 1, 1, 2) = 1/4 * 1/3 + 1/4 * 1/3 = 1/6."""
    value_P, draws = np.array([1.0, 1.0, 2.0]), 4000
    both = sum(weighted_sample(value_P, IDS[:3], k=2, seed=seed)[:2].all() for seed in range(draws)) / draws
    assert abs(both - 1 / 6) <= 4 * np.sqrt(1 / 6 * 5 / 6 / draws)


def test_the_draw_is_by_pair_and_not_by_row() -> None:
    value_P, order = np.array([1.0, 2.0, 3.0, 5.0]), np.array([2, 0, 3, 1])
    kept_P = weighted_sample(value_P, IDS, k=2, seed=3)
    assert (weighted_sample(value_P[order], IDS[order], k=2, seed=3) == kept_P[order]).all()
    assert kept_P.sum() == 2 == most_kept(4, k=2)
    assert most_kept(1, k=2) == 1


@pytest.mark.parametrize(
    ("values", "k", "error"),
    [
        ([1.0, -1.0, 2.0, 3.0], 2, r"^keep=weighted_sample: 1 of 4 values are negative.*use metric=explicit"),
        ([1.0, 0.0, 2.0, 0.0], 3, r"^keep\.k=3: there are only 2 pairs with a value above 0; set at most keep\.k=2$"),
        ([np.inf] * 4, 5, r"^keep\.k=5: there are only 4 pairs"),
    ],
)
def test_values_that_are_no_weights(values: list[float], k: int, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        weighted_sample(np.array(values), IDS, k=k, seed=0)
