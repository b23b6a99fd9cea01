import pytest

from apm_exp.core.types import MissingRewards
from apm_exp.selection.metrics.explicit import explicit_reward_margin


def test_a_larger_margin_has_a_larger_value_whatever_its_sign(scores):
    assert explicit_reward_margin(scores([1, -3, 0.5], [9, 9, 9]))["value"].tolist() == [1, 3, 0.5]


def test_worked_examples_of_the_paper(scores):
    margins = [10.3 - 3.4, 13.7 - 13.0, 11.2 - 5.0]
    value_P = explicit_reward_margin(scores(margins, [0, 0, 0]))["value"]
    assert value_P == pytest.approx([6.9, 0.7, 6.2])


def test_without_rewards(scores):
    with pytest.raises(MissingRewards):
        explicit_reward_margin(scores(None, [1.0]))


def test_a_margin_that_is_not_finite_is_named(scores):
    with pytest.raises(ValueError, match="pair_id p1"):
        explicit_reward_margin(scores([1, float("nan")], [1, 1]))
