"""Student's t against printed tables and against scipy."""

import pytest
from scipy import stats

from apm_exp.core.significance import outside, t_interval, t_quantile, t_test


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (30, 2.042)])
def test_the_printed_table(freedom: int, quantile: float) -> None:
    assert t_quantile(0.95, freedom) == pytest.approx(quantile, abs=5e-4)


@pytest.mark.parametrize("freedom", [1, 1.01, 1.5, 2, 2.7, 3, 6, 19.5, 100, 5000])
def test_probabilities_are_scipys(freedom: float) -> None:
    for t in (0.0, 0.1, 1.0, 3.0, 4.9):
        assert outside(t, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), abs=1e-11)
    for t in (5.1, 20.0, 200.0):
        assert outside(t, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), rel=1e-9)


def test_an_interval_by_hand() -> None:
    # 1, 2, 3: mean 2, deviation 1, standard error 1/sqrt(3), quantile 4.303.
    assert t_interval(2.0, 3**-0.5, 2, 0.95) == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-4)


@pytest.mark.parametrize("values", [[0.1, 0.3], [1.0, -1.0, 0.5], [2.0, 2.1, 1.9, 2.2, 2.0]])
def test_interval_and_test_are_scipys(values: list[float]) -> None:
    found = stats.ttest_1samp(values, 0.0)
    given = (float(sum(values) / len(values)), float(stats.sem(values)), len(values) - 1)
    assert t_test(*given) == pytest.approx(found.pvalue, rel=1e-9)
    assert t_interval(*given, 0.95) == pytest.approx(tuple(found.confidence_interval(0.95)), rel=1e-9)


def test_without_any_error() -> None:
    assert t_test(0.0, 0.0, 2) == 1.0
    assert t_test(1.0, 0.0, 2) == 0.0
