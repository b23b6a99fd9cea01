import numpy as np
import pytest

from apm_exp.selection.alpha_rules.calibrated import calibrated


def test_the_slope_through_the_origin():
    assert calibrated(np.array([2.0, -1.0]), np.array([1.0, 1.0])) == (2 - 1) / (1 + 1)
    explicit_P, implicit_P = np.random.default_rng(0).normal(size=(2, 50)) + np.array([[0.5], [1.0]])
    (slope,), *_ = np.linalg.lstsq(implicit_P[:, None], explicit_P, rcond=None)
    assert calibrated(explicit_P, implicit_P) == pytest.approx(slope)


def test_margins_that_contradict_each_other_on_the_whole_give_zero():
    assert calibrated(np.array([2.0, 1.0]), np.array([-1.0, 1.0])) == 0
