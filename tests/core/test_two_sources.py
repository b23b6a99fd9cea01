"""Two standard errors in one interval and one p-value."""

import numpy as np
import pytest
from scipy import stats

from apm_exp.core.significance import Error, both, judged


def test_errors_add_in_squares_with_welchs_degrees_of_freedom() -> None:
    # 9 + 16 = 25; 25^2 / (9^2 / 10 + 16^2 / 2) = 625 / 136.1.
    found = both(Error(3.0, 10), Error(4.0, 2))
    assert (found.error, found.freedom) == pytest.approx((5.0, 625 / 136.1))


def test_the_error_and_its_freedom_are_those_of_welchs_test() -> None:
    first, second = np.array([1.0, 2.0, 4.0]), np.array([3.0, 3.5, 9.0, 1.0, 2.0])
    found = both(Error(float(stats.sem(first)), 2), Error(float(stats.sem(second)), 4))
    theirs = stats.ttest_ind(first, second, equal_var=False)
    assert found.freedom == pytest.approx(theirs.df)
    assert (first.mean() - second.mean()) / found.error == pytest.approx(theirs.statistic)


def test_one_interval_and_one_p_of_both_sources() -> None:
    # 36 + 4 = 40 with 40^2 / (36^2 / 10 + 4^2 / 2) = 11.63 degrees of freedom, whose t is 2.1866.
    interval, p = judged(10.0, Error(6.0, 10), Error(2.0, 2), 0.95)
    assert interval == pytest.approx((10 - 2.1866 * 40**0.5, 10 + 2.1866 * 40**0.5), abs=1e-3)
    assert p == pytest.approx(2 * stats.t.sf(10 / 40**0.5, 1600 / 137.6))


def test_no_more_is_claimed_than_of_the_seeds_alone() -> None:
    # 4.303 * 4 = 17.2 is wider than the 13.2 of both, with 4.59 degrees of freedom.
    interval, p = judged(10.0, Error(3.0, 10), Error(4.0, 2), 0.95)
    assert interval == pytest.approx((10 - 17.211, 10 + 17.211), abs=1e-3)
    assert p == pytest.approx(2 * stats.t.sf(10 / 4, 2))


def test_seeds_that_agree_are_no_certainty() -> None:
    interval, p = judged(0.075, Error(0.05, 39), Error(0.0, 1), 0.95)
    assert p == pytest.approx(2 * stats.t.sf(1.5, 39))
    assert interval == pytest.approx((0.075 - 2.0227 * 0.05, 0.075 + 2.0227 * 0.05), abs=1e-5)


def test_no_error_at_all() -> None:
    assert judged(0.0, Error(0.0, 9), Error(0.0, 1), 0.95) == ((0.0, 0.0), 1.0)
