import pytest

from apm_exp.core.types import MissingRewards
from apm_exp.selection.metrics.m1 import m1


@pytest.mark.parametrize(
    ("explicit", "implicit", "distance"),
    [(10.3 - 3.4, -1.4 - -7.7, 0.6), (13.7 - 13.0, -3.7 - -2.9, 1.5), (11.2 - 5.0, -8.9 - -3.4, 11.7)],
)
def test_worked_examples_of_the_paper(scores, explicit, implicit, distance):
    assert m1(scores([explicit], [implicit]), rescale=False)["value"] == pytest.approx([distance])


def test_the_distance_counts_either_way(scores):
    assert m1(scores([1, 5], [5, 1]), rescale=False)["value"].tolist() == [4, 4]


def test_rescaled_by_the_sigmas_of_the_alignment_potential(scores):
    columns = m1(scores([1, -3], [0.5, 1.5]), rescale=True)
    assert columns["explicit_term"].tolist() == [1, -3]
    assert columns["implicit_term"].tolist() == [1, 3]
    assert columns["value"].tolist() == [0, 6]


def test_without_rewards(scores):
    with pytest.raises(MissingRewards):
        m1(scores(None, [1.0]), rescale=True)


def test_a_margin_that_is_not_finite_is_named(scores):
    with pytest.raises(ValueError, match="pair_id p0"):
        m1(scores([float("inf"), 1], [1, 1]), rescale=False)
