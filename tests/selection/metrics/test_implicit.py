import pytest

from apm_exp.selection.metrics.implicit import implicit_reward_margin


def test_a_smaller_margin_has_a_larger_value_whatever_its_sign(scores):
    assert implicit_reward_margin(scores([9, 9, 9], [1, -3, 0.5]))["value"].tolist() == [-1, -3, -0.5]


def test_worked_examples_of_the_paper(scores):
    margins = [-1.4 - -7.7, -3.7 - -2.9, -8.9 - -3.4]
    value_P = implicit_reward_margin(scores(None, margins))["value"]
    assert value_P == pytest.approx([-6.3, -0.8, -5.5])


def test_rewards_are_not_needed_and_not_looked_at(scores):
    assert implicit_reward_margin(scores([float("nan")], [2.0]))["value"].tolist() == [-2.0]


def test_a_margin_that_is_not_finite_is_named(scores):
    with pytest.raises(ValueError, match="pair_id p0"):
        implicit_reward_margin(scores(None, [float("inf"), 1.0]))
