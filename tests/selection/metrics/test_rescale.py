import logging
from statistics import pstdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.selection.metrics.rescale import population_std, rescaled


def test_population_std_by_hand():
    assert population_std(np.array([1.0, 3.0])) == 1.0
    assert population_std(np.array([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])) == 2.0


@pytest.mark.parametrize("constant", [0.0, 0.1, -0.3, 1e-300, 1e300, 4.1])
def test_equal_values_have_no_spread(constant):
    assert population_std(np.full(1000, constant)) == 0.0


def test_values_equal_up_to_rounding_have_no_spread():
    assert population_std(np.array([4.1 - 3.1, 3.1 - 2.1, 1.0])) == 0.0


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_squares_neither_vanish_nor_overflow(scale):
    assert population_std(np.array([1.0, 3.0]) * scale) == pytest.approx(scale)


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=50))
def test_equals_exact_arithmetic(values):
    rounding = 1e-12 * max(abs(value) for value in values)
    assert population_std(np.array(values)) == pytest.approx(pstdev(values), rel=1e-9, abs=rounding)


def test_signs_stay_and_no_mean_is_subtracted():
    assert rescaled(np.array([2.0, -6.0]), "explicit").tolist() == [1.0, -3.0]


@pytest.mark.parametrize("margins", [[0.5], [0.5, -0.5, 0.5], [0.0, 0.0]])
def test_no_spread_gives_zero_and_a_warning(margins, caplog):
    with caplog.at_level(logging.WARNING):
        assert rescaled(np.array(margins), "implicit").tolist() == [0.0] * len(margins)
    assert "implicit margins" in caplog.text
