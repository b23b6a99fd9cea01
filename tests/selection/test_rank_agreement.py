"""Rank correlations against scipy, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from apm_exp.selection.rank_agreement import kendall, spearman


def test_by_hand() -> None:
    """Of the six pairs of 1, 2, 3, 4 and 1, 3, 2, 4 one is discordant."""
    first, second = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])
    assert kendall(first, second) == pytest.approx((5 - 1) / 6)
    assert spearman(first, second) == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert np.isnan(kendall(first, np.ones(4)))
    assert np.isnan(spearman(first, np.ones(4)))


@given(st.lists(st.tuples(st.integers(0, 6), st.floats(-2, 2, allow_subnormal=False)), min_size=3, max_size=40))
def test_equal_scipys(drawn: list[tuple[int, float]]) -> None:
    first, second = np.array([a for a, _ in drawn], float), np.array([b for _, b in drawn])
    if len(set(first)) > 1 and len(set(second)) > 1:
        assert kendall(first, second) == pytest.approx(stats.kendalltau(first, second).statistic, abs=1e-12)
        assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)
