import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.selection.keep.top_fraction import kept_count, top_fraction

IDS = np.array([f"p{row:03}" for row in range(100)])


def test_keeps_the_highest_values():
    value_P = np.array([0.3, 0.9, -1.0, 0.5, 0.4])
    assert top_fraction(value_P, IDS[:5], fraction=0.4).tolist() == [False, True, False, True, False]


def test_a_fraction_of_one_keeps_everything():
    assert top_fraction(np.zeros(7), IDS[:7], fraction=1).all()


@pytest.mark.parametrize(
    ("fraction", "pairs", "count"),
    [(0.29, 100, 29), (0.4, 59876, 23950), (0.57, 100, 57), (0.4, 4, 1), (1.0, 3, 3), (1e-05, 100_000, 1)],
)
def test_the_count_is_exact(fraction, pairs, count):
    assert kept_count(fraction, pairs) == count


@given(thousandths=st.integers(1, 1000), pairs=st.integers(0, 10**7))
def test_the_count_is_that_of_decimal_arithmetic(thousandths, pairs):
    assert kept_count(thousandths / 1000, pairs) == thousandths * pairs // 1000


def test_keeping_nothing_is_refused():
    with pytest.raises(ValueError, match=re.escape("keep.fraction=0.001: would keep 0 of 100 pairs; ")):
        top_fraction(np.zeros(100), IDS, fraction=0.001)


def test_no_pairs_are_refused():
    with pytest.raises(ValueError, match="would keep 0 of 0 pairs"):
        top_fraction(np.zeros(0), IDS[:0], fraction=1.0)
