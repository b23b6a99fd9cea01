"""The standard error of a mean over items, counted by hand."""

import numpy as np
import pytest

from apm_exp.standard_error import standard_error


def test_one_row_is_the_textbooks() -> None:
    # 1, 2, 3, 4: standard deviation 1.29099, of the mean half of that.
    assert standard_error(np.array([[1.0, 2.0, 3.0, 4.0]])) == pytest.approx(0.645497, abs=1e-6)


def test_rows_of_the_same_items_are_averaged_first() -> None:
    # Means of the items: 2, 3, 4, with a deviation of 1 over three items.
    assert standard_error(np.array([[1.0, 3.0, 5.0], [3.0, 3.0, 3.0]])) == pytest.approx(3**-0.5)


def test_an_item_that_a_row_does_not_have_moves_the_other_rows_alone() -> None:
    # Residuals -1, 1 and -2, 2 of two items each: parts of the mean -1/4, 1/4, -1/2, 1/2, so 4/3 * 5/8.
    values = np.array([[1.0, 3.0, np.nan, np.nan], [np.nan, np.nan, 5.0, 9.0]])
    assert standard_error(values) == pytest.approx((4 / 3 * 5 / 8) ** 0.5)
