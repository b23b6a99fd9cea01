"""Paired differences counted by hand, and their chance against scipy's tests."""

import numpy as np
import pytest
from scipy import stats

from apm_exp.report.compare.paired import Difference, differences, means

NONE = np.nan


def compared(values_ASN: np.ndarray) -> list[Difference]:
    """The differences to the first arm; every item is a prompt of its own."""
    return differences(values_ASN, np.arange(values_ASN.shape[2]), 0)


def test_only_common_items_of_common_seeds_count() -> None:
    baseline = [[1.0, 2.0, NONE, 4.0], [1.0, 1.0, 1.0, NONE]]
    arm = [[2.0, 4.0, 9.0, NONE], [1.0, 2.0, 3.0, 5.0]]
    only_first = [[NONE, 2.0, 5.0, 5.0], [NONE] * 4]
    found = compared(np.array([baseline, arm, only_first]))
    # Seed 0: 1 and 2, mean 1.5; seed 1: 0, 1 and 2, mean 1.
    assert [(one.arm, one.value, one.items, one.seeds) for one in found] == [(1, 1.25, 3, 2), (2, 0.5, 2, 1)]
    # t with one degree of freedom, of the seeds alone: 12.706 standard errors of 0.25.
    assert found[0].interval == pytest.approx((1.25 - 12.706 * 0.25, 1.25 + 12.706 * 0.25), abs=1e-3)
    # One seed, t over two prompts: 0 and 1 have a deviation of 1 / sqrt(2), an error of a half.
    assert found[1].interval == pytest.approx((0.5 - 12.706 * 0.5, 0.5 + 12.706 * 0.5), abs=1e-3)


def test_prompts_and_seeds_make_one_interval_and_one_p() -> None:
    # Items' means -3, 3, 0, 8: deviation sqrt(22), error sqrt(5.5). Seeds' means 1, 2 and 3: error 1 / sqrt(3).
    by_item, by_seed = np.array([-3.0, 3.0, 0.0, 8.0]), np.array([[-1.0], [0.0], [1.0]])
    (found,) = compared(np.array([np.zeros((3, 4)), by_item + by_seed]))
    error = (5.5 + 1 / 3) ** 0.5
    freedom = error**4 / (5.5**2 / 3 + (1 / 3) ** 2 / 2)  # 3.359
    width = stats.t.ppf(0.975, freedom) * error
    assert found.interval == pytest.approx((2 - width, 2 + width))
    assert found.p == pytest.approx(2 * stats.t.sf(2 / error, freedom))
    assert found.p_holm == found.p
    assert found.noise


def test_seeds_that_happen_to_agree_are_no_certainty() -> None:
    """Two seeds, each with three more of 40 prompts won than lost, on other prompts."""
    wins = np.zeros((2, 40))
    wins[0, :3] = wins[1, 3:6] = 1
    (found,) = compared(np.array([np.zeros((2, 40)), wins]))
    assert found.value == pytest.approx(3 / 40)
    error = (6 * 0.5**2 - 40 * 0.075**2) ** 0.5 / (39 * 40) ** 0.5  # six prompts with a mean of a half
    assert found.p == pytest.approx(2 * stats.t.sf(0.075 / error, 39))
    assert found.p > 0.01


@pytest.mark.parametrize("seeds", [2, 3, 10])
@pytest.mark.parametrize("interaction", [0.0, 0.2])
def test_false_differences_are_as_rare_as_they_should_be(seeds: int, interaction: float) -> None:
    """600 arms without a difference: prompts suit them (0.02 of the mean), or do not, and so do seeds (0.02)."""
    stream = np.random.default_rng(seeds)
    outcomes = interaction * stream.normal(size=(601, 1, 100)) + 0.02 * seeds**0.5 * stream.normal(size=(601, seeds, 1))
    outcomes = outcomes + 0.05 * stream.normal(size=(601, seeds, 100))
    outcomes[0] = 0
    assert np.mean([one.p <= 0.05 for one in compared(outcomes)]) < 0.075  # 5% and three standard errors


KINDS = {  # of the difference that a prompt makes where arms do not differ; of shares: 16 comparisons each
    "normal": lambda stream, size: stream.normal(size=size),
    "accuracies": lambda stream, size: stream.choice([-1.0, 0.0, 1.0], p=[0.15, 0.7, 0.15], size=size),
    "win rates": lambda stream, size: (
        stream.binomial(16, stream.beta(2, 2, size)) - stream.binomial(16, stream.beta(2, 2, size))
    ),
}


@pytest.mark.parametrize("prompts", [10, 20])
@pytest.mark.parametrize("kind", KINDS)
def test_the_interval_of_one_seed_holds_with_few_prompts(kind: str, prompts: int) -> None:
    """In 95% of 2,000 comparisons, within three standard errors; a bootstrap's middle 95% held in 89% of 10 normals."""
    outcomes = np.zeros((2001, 1, prompts))
    outcomes[1:] = KINDS[kind](np.random.default_rng(prompts), (2000, 1, prompts))
    held = np.mean([one.interval[0] <= 0 <= one.interval[1] for one in compared(outcomes)])
    assert held > 0.95 - 3 * (0.95 * 0.05 / 2000) ** 0.5


def test_one_seed_is_scipys_t_test_over_prompts() -> None:
    values = np.random.default_rng(5).normal(0.3, size=(2, 1, 20))
    (found,) = compared(values)
    theirs = stats.ttest_rel(values[1, 0], values[0, 0])
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.interval == pytest.approx(tuple(theirs.confidence_interval(0.95)))


def test_prompts_that_happen_to_agree_are_no_certainty() -> None:
    """Both of two prompts won: an error as if a third had shown no difference."""
    (found,) = compared(np.array([[[0.0, 0.0]], [[1.0, 1.0]]]))
    assert found.interval == pytest.approx((1 - 12.706 / 3, 1 + 12.706 / 3), abs=1e-3)
    assert found.p == pytest.approx(2 * stats.t.sf(3, 1))


def test_holms_correction_is_over_the_arms() -> None:
    stream = np.random.default_rng(1)
    arms = stream.normal(size=(4, 1, 100)) * 0.1
    arms[1] += 0.05
    found = compared(arms)
    assert found[0].p < min(one.p for one in found[1:])
    assert found[0].p_holm == pytest.approx(3 * found[0].p)
    assert not found[0].noise


def test_the_very_same_outcomes_are_inside_the_noise() -> None:
    same = np.random.default_rng(2).normal(size=(1, 1, 50)).repeat(2, axis=0)
    (found,) = compared(same)
    assert (found.value, found.p, found.interval, found.same) == (0.0, 1.0, (0.0, 0.0), True)


def test_outcomes_that_differ_but_cancel_are_not_the_same() -> None:
    moved = np.array([[1.0, 2.0], [2.0, 1.0]])
    (found,) = compared(np.array([np.full((2, 2), 1.5), moved]))
    assert (found.value, found.interval, found.same) == (0.0, (0.0, 0.0), False)


def test_an_arm_without_common_items_is_left_out() -> None:
    values = np.array([[[1.0, 2.0, NONE]], [[NONE, NONE, 3.0]]])
    assert compared(values) == []
    mean, none = means(values, np.arange(3))
    assert mean is not None
    assert (mean.value, mean.items, mean.by_seed) == (1.5, 2, (1.5,))
    assert none is None


def test_prompts_that_differ_between_seeds_are_paired_within_each() -> None:
    """dataset.seed repeats the whole world: no prompt is in both seeds."""
    baseline = [[1.0, 3.0, NONE, NONE], [NONE, NONE, 5.0, 6.0]]
    arm = [[2.0, 4.0, NONE, NONE], [NONE, NONE, 8.0, 9.0]]
    (found,) = compared(np.array([baseline, arm]))
    assert (found.value, found.items, found.seeds) == (2.0, 4, 2)
    # Each seed's differences are all the same, 1 and 3: what is left is an error of 1 over seeds.
    assert found.interval == pytest.approx((2 - 12.706, 2 + 12.706), abs=1e-3)


def test_the_pairs_of_a_prompt_are_drawn_together() -> None:
    # Pairs 1, 1, 1 of one prompt and -1 of another, a mean of 1/2: they add 3/8 and -3/8, so an error of sqrt(9/16).
    pairs, prompt_N = np.array([[[0.0] * 4], [[1.0, 1.0, 1.0, -1.0]]]), np.array([0, 0, 0, 1])
    (found,) = differences(pairs, prompt_N, 0)
    assert (found.value, found.items, found.prompts) == (0.5, 4, 2)
    bounds = pytest.approx((0.5 - 12.706 * 0.75, 0.5 + 12.706 * 0.75), abs=1e-3)
    assert found.interval == bounds
    assert found.p == pytest.approx(2 * stats.t.sf(0.5 / 0.75, 1))
    one = means(pairs, prompt_N)[1]
    assert one is not None
    assert (one.items, one.prompts, one.over_prompts) == (4, 2, bounds)
    assert differences(pairs[:, :, :3], prompt_N[:3], 0) == []  # one prompt alone says nothing of others


def test_over_several_seeds_too_the_prompt_is_what_counts() -> None:
    """Each prompt four times over is as much as each once."""
    once = np.random.default_rng(3).normal(size=(2, 3, 20))
    once[0] = 0
    (alone,) = compared(once)
    (found,) = differences(np.repeat(once, 4, axis=2), np.repeat(np.arange(20), 4), 0)
    assert (found.items, found.prompts) == (80, 20)
    assert (found.p, found.interval) == (pytest.approx(alone.p), pytest.approx(alone.interval))
