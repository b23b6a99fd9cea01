"""How many kept pairs noise could replace, counted by hand."""

from functools import partial

import numpy as np
import pytest

from apm_exp.core.types import PairScores
from apm_exp.selection.keep.threshold import threshold
from apm_exp.selection.keep.top_k import top_k
from apm_exp.selection.metrics.explicit import explicit_reward_margin
from apm_exp.selection.metrics.implicit import implicit_reward_margin
from apm_exp.selection.metrics.m_plus import m_plus
from apm_exp.selection.metrics.map import alignment_potential
from apm_exp.selection.noise import within_noise

IDS = np.array(["a", "b", "c", "d"])
ABSOLUTE = partial(alignment_potential, alpha=2.0, rescale=False)


def count(score, rule, explicit, implicit, noise):
    scores = PairScores(IDS[: len(implicit)], np.array(explicit, float), np.array(implicit, float))
    value_P = score(scores)["value"]
    return within_noise(score, rule, scores, value_P, rule(value_P, scores.pair_id_P), noise)


@pytest.mark.parametrize(("noise", "expected"), [(0.04, 0), (0.06, 1), (0.4, 1), (0.6, 2)])
def test_pairs_on_both_sides_of_the_cut_change_places(noise, expected):
    # Values -0.1, -0.2 | -0.3, -1.2: b and c change places from 0.05 on; from 0.55 on d, too, can pass a.
    assert count(implicit_reward_margin, partial(top_k, k=2), np.zeros(4), [0.1, -0.2, 0.3, -1.2], noise) == expected


@pytest.mark.parametrize(("noise", "expected"), [(0.04, 0), (0.06, 1)])
def test_the_metrics_weight_widens_the_noise(noise, expected):
    # Values 3 - 2 x 0.5 = 2 and 2.8 - 2 x 0.5 = 1.8, which noise of n brings 4 n nearer to each other.
    assert count(ABSOLUTE, partial(top_k, k=1), [3, 2.8], [0.5, -0.5], noise) == expected


def test_a_margin_nearer_to_zero_than_the_noise_can_be_zero():
    # Values -0.01 | -0.02: noise of 0.05 makes them at most -0.0, and at least -0.06 and -0.07.
    assert count(implicit_reward_margin, partial(top_k, k=1), [0, 0], [0.01, -0.02], 0.05) == 1


@pytest.mark.parametrize(("noise", "expected"), [(0.05, 0), (0.15, 1), (0.25, 2)])
def test_a_signed_metric_and_a_threshold(noise, expected):
    # Values 0.1 and 0.2 are kept at 0, and -5 is not; noise of 0.25 can take both, and then nothing would be kept.
    rule = partial(threshold, minimum=0.0)
    assert count(partial(m_plus, rescale=False), rule, [0, 0, 0], [-0.1, -0.2, 5], noise) == expected


def test_a_metric_that_does_not_look_at_log_probs_has_no_noise():
    assert count(explicit_reward_margin, partial(top_k, k=2), [1, 1, 1, 1], [0, 1, 2, 3], 10.0) == 0


def test_nothing_can_change_where_all_are_kept():
    assert count(implicit_reward_margin, partial(top_k, k=4), np.zeros(4), [0.1, 0.1, 0.2, 0.3], 10.0) == 0


def test_the_metric_does_not_say_twice_what_it_has_said(caplog):
    rescaled = partial(alignment_potential, alpha=1.0, rescale=True)
    scores = PairScores(IDS[:2], np.array([1.0, 1.0]), np.array([0.1, 0.5]))
    within_noise(rescaled, partial(top_k, k=1), scores, np.array([2.0, 1.0]), np.array([True, False]), 1e-5)
    assert caplog.records == []
