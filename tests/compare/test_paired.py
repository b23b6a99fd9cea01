"""Paired differences counted by hand, and their chance against scipy's tests."""

import numpy as np
import pytest
from scipy import stats

from apm_exp.compare.paired import differences, means

NONE = np.nan


def test_only_common_items_of_common_seeds_count() -> None:
    baseline = [[1.0, 2.0, NONE, 4.0], [1.0, 1.0, 1.0, NONE]]
    arm = [[2.0, 4.0, 9.0, NONE], [1.0, 2.0, 3.0, 5.0]]
    only_first = [[NONE, 2.0, 5.0, 5.0], [NONE] * 4]
    found = differences(np.array([baseline, arm, only_first]), 0)
    # Seed 0: 1 and 2, mean 1.5; seed 1: 0, 1 and 2, mean 1.
    assert [(one.arm, one.value, one.items, one.seeds) for one in found] == [(1, 1.25, 3, 2), (2, 0.5, 2, 1)]
    # t with one degree of freedom: 12.706 standard errors of 0.25.
    assert found[0].over_seeds == pytest.approx((1.25 - 12.706 * 0.25, 1.25 + 12.706 * 0.25), abs=1e-3)
    assert found[1].over_seeds is None


def test_the_larger_p_value_decides() -> None:
    stream = np.random.default_rng(0)
    items = stream.normal(size=200)
    shift = np.array([0.5, 0.1, 0.9])[:, None]  # clear over items, not over three seeds
    arms = np.array([np.tile(items, (3, 1)), items + shift + stream.normal(0, 0.05, (3, 200))])
    (found,) = differences(arms, 0)
    by_seed = np.mean(arms[1] - arms[0], axis=1)
    assert found.p == pytest.approx(stats.ttest_1samp(by_seed, 0).pvalue)
    assert found.p > 0.05
    assert found.seeds_decide
    assert found.noise
    assert found.over_items[0] > 0


def test_holms_correction_is_over_the_arms() -> None:
    stream = np.random.default_rng(1)
    arms = stream.normal(size=(4, 1, 100)) * 0.1
    arms[1] += 1
    found = differences(arms, 0)
    assert found[0].p == pytest.approx(2 / 10_001)
    assert found[0].p_holm == pytest.approx(3 * 2 / 10_001)
    assert not found[0].noise


def test_the_very_same_outcomes_are_inside_the_noise() -> None:
    same = np.random.default_rng(2).normal(size=(1, 1, 50)).repeat(2, axis=0)
    (found,) = differences(same, 0)
    assert (found.value, found.p, found.over_items, found.same) == (0.0, 1.0, (0.0, 0.0), True)


def test_outcomes_that_differ_but_cancel_are_not_the_same() -> None:
    moved = np.array([[1.0, 2.0], [2.0, 1.0]])
    (found,) = differences(np.array([np.full((2, 2), 1.5), moved]), 0)
    assert (found.value, found.over_items, found.same) == (0.0, (0.0, 0.0), False)


def test_an_arm_without_common_items_is_left_out() -> None:
    values = np.array([[[1.0, 2.0, NONE]], [[NONE, NONE, 3.0]]])
    assert differences(values, 0) == []
    mean, none = means(values)
    assert mean is not None
    assert (mean.value, mean.items, mean.by_seed) == (1.5, 2, (1.5,))
    assert none is None


def test_prompts_that_differ_between_seeds_are_paired_within_each() -> None:
    """dataset.seed repeats the whole world: no prompt is in both seeds."""
    baseline = [[1.0, 3.0, NONE, NONE], [NONE, NONE, 5.0, 6.0]]
    arm = [[2.0, 4.0, NONE, NONE], [NONE, NONE, 8.0, 9.0]]
    (found,) = differences(np.array([baseline, arm]), 0)
    assert (found.value, found.items, found.seeds) == (2.0, 4, 2)
    assert found.over_items == (2.0, 2.0)  # each seed's differences are all the same: 1 and 3
