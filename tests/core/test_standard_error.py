"""The standard error of a mean over items, counted by hand."""

import numpy as np
import pytest

from apm_exp.core.standard_error import standard_error


def test_one_row_is_the_textbooks() -> None:
    # 1, 2, 3, 4: standard deviation 1.29099, of the mean half of that.
    assert standard_error(np.array([[1.0, 2.0, 3.0, 4.0]]), np.arange(4)) == pytest.approx(0.645497, abs=1e-6)


def test_rows_of_the_same_items_are_averaged_first() -> None:
    # Means of the items: 2, 3, 4, with a deviation of 1 over three items.
    assert standard_error(np.array([[1.0, 3.0, 5.0], [3.0, 3.0, 3.0]]), np.arange(3)) == pytest.approx(3**-0.5)


def test_an_item_that_a_row_does_not_have_moves_the_other_rows_alone() -> None:
    # Residuals -1, 1 and -2, 2 of two items each: parts of the mean -1/4, 1/4, -1/2, 1/2, so 4/3 * 5/8.
    values = np.array([[1.0, 3.0, np.nan, np.nan], [np.nan, np.nan, 5.0, 9.0]])
    assert standard_error(values, np.arange(4)) == pytest.approx((4 / 3 * 5 / 8) ** 0.5)


def test_the_items_of_a_group_are_one() -> None:
    # Mean 3; residuals -2, 0 | 0, 2 | 0: sums -2, 2 and 0 over five items, so 3/2 * 8/25.
    values = np.array([[1.0, 3.0, 3.0, 5.0, 3.0]])
    assert standard_error(values, np.array([0, 0, 1, 1, 2])) == pytest.approx((1.5 * 8 / 25) ** 0.5)
    # Every value four times over says no more than once.
    once = standard_error(values, np.arange(5))
    assert standard_error(np.repeat(values, 4, axis=1), np.repeat(np.arange(5), 4)) == pytest.approx(once)
