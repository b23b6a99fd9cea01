"""Student's t against printed tables and against scipy."""

import numpy as np
import pytest
from scipy import stats

from apm_exp.compare.student_t import inside, t_interval, t_quantile, t_test


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (30, 2.042)])
def test_the_printed_table(freedom: int, quantile: float) -> None:
    assert t_quantile(0.95, freedom) == pytest.approx(quantile, abs=5e-4)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 6, 19, 100])
def test_probabilities_are_scipys(freedom: int) -> None:
    for t in (0.0, 0.1, 1.0, 3.0, 20.0):
        assert inside(t, freedom) == pytest.approx(1 - 2 * stats.t.sf(t, freedom), abs=1e-12)


def test_three_values_by_hand() -> None:
    # Mean 2, deviation 1, standard error 1/sqrt(3), quantile 4.303.
    assert t_interval(np.array([1.0, 2.0, 3.0]), 0.95) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-4)


@pytest.mark.parametrize("values", [[0.1, 0.3], [1.0, -1.0, 0.5], [2.0, 2.1, 1.9, 2.2, 2.0]])
def test_interval_and_test_are_scipys(values: list[float]) -> None:
    found = stats.ttest_1samp(values, 0.0)
    assert t_test(np.array(values)) == pytest.approx(found.pvalue, rel=1e-9)
    assert t_interval(np.array(values), 0.95) == pytest.approx(tuple(found.confidence_interval(0.95)), rel=1e-9)


def test_values_without_any_spread() -> None:
    assert t_test(np.zeros(3)) == 1.0
    assert t_test(np.ones(3)) == 0.0
