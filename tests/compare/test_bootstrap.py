"""The bootstrap over items: what it must give exactly, and against scipy's."""

import numpy as np
import pytest
from scipy import stats

from apm_exp.compare import bootstrap
from apm_exp.compare.bootstrap import p_value, percentile_interval, resampled_means


def drawn(values_CN: np.ndarray, resamples: int = 10_000) -> np.ndarray:
    """The resampled means where each item is a group of its own."""
    return resampled_means(values_CN, np.arange(values_CN.shape[1]), resamples)


def test_two_items_have_three_possible_means() -> None:
    # 0 and 1: both drawn twice or once each, with chances 1/4, 1/2, 1/4.
    means = drawn(np.array([[0.0, 1.0]]))[:, 0]
    assert [float((means == value).mean()) for value in (0, 0.5, 1)] == pytest.approx([0.25, 0.5, 0.25], abs=0.02)


def test_all_rows_see_the_same_draws_and_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(size=50)
    means = drawn(np.array([values, values + 1, 2 * values]), 200)
    assert means[:, 1] == pytest.approx(means[:, 0] + 1)
    assert means[:, 2] == pytest.approx(2 * means[:, 0])
    assert np.array_equal(means, drawn(np.array([values, values + 1, 2 * values]), 200))
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 300)  # in parts of six resamples
    assert np.array_equal(means, drawn(np.array([values, values + 1, 2 * values]), 200))


def test_an_item_that_a_row_does_not_have_has_no_say() -> None:
    values = np.array([[1.0, 3.0, np.nan, np.nan], [np.nan, np.nan, 7.0, 7.0]])
    means = drawn(values, 2000)
    known = np.isfinite(means)
    assert set(np.unique(means[known[:, 1], 1])) == {7.0}
    assert np.nanmin(means[:, 0]) == 1.0
    assert np.nanmax(means[:, 0]) == 3.0
    assert 1 - known[:, 0].mean() == pytest.approx(0.5**4, abs=0.02)  # none of its two items drawn in four draws


def test_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(2).exponential(size=80)
    found = percentile_interval(drawn(values[None])[:, 0], 0.95)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(3))
    assert found == pytest.approx(tuple(theirs.confidence_interval), abs=0.02)


def test_p_values_by_hand() -> None:
    assert p_value(np.array([1.0] * 99)) == 2 / 100
    assert p_value(np.array([-1.0] * 9 + [1.0] * 90)) == 2 * 10 / 100
    assert p_value(np.zeros(99)) == 1.0


def test_under_no_difference_p_is_below_a_level_as_often_as_the_level() -> None:
    stream = np.random.default_rng(4)
    means = drawn(stream.normal(size=(1000, 60)), 1000)
    p_values = np.array([p_value(means[:, row]) for row in range(1000)])
    assert (p_values < 0.05).mean() == pytest.approx(0.05, abs=0.025)
    assert (p_values < 0.5).mean() == pytest.approx(0.5, abs=0.05)


def test_a_group_is_drawn_with_all_its_items() -> None:
    # Sums 6 of three items and -1 of one: means of two drawn groups are 12/6, 5/4 and -2/2.
    means = resampled_means(np.array([[1.0, -1.0, 2.0, 3.0]]), np.array([0, 1, 0, 0]))[:, 0]
    assert [float((means == value).mean()) for value in (2, 1.25, -1)] == pytest.approx([0.25, 0.5, 0.25], abs=0.02)
