"""What of a selection stays under other sigmas and under rounding, against a computation written out."""

from functools import partial

import numpy as np
import pytest

from apm_exp.core.types import PairScores
from apm_exp.selection.keep.threshold import threshold
from apm_exp.selection.keep.top_k import top_k
from apm_exp.selection.metrics.implicit import implicit_reward_margin
from apm_exp.selection.metrics.map import alignment_potential
from apm_exp.selection.metrics.uniform import uniform
from apm_exp.selection.stability import DRAWS, jaccard, kept_by, under_other_sigmas, under_rounding, under_sources

PAIRS = 200
MAP = partial(alignment_potential, alpha=1.0, rescale=True)
RULE = partial(top_k, k=80)
_stream = np.random.default_rng(5)
SCORES = PairScores(
    np.array([f"{number:03d}" for number in range(PAIRS)]), _stream.normal(size=PAIRS), _stream.normal(0, 0.1, PAIRS)
)


def chosen(score, rule=RULE, scores=SCORES):
    value_P = score(scores)["value"]
    return score, rule, scores, value_P, rule(value_P, scores.pair_id_P)


def test_sigmas_of_resampled_pairs_by_numpy():
    stream, found = np.random.default_rng(0), []
    explicit, implicit = np.abs(SCORES.explicit_margin_P), np.abs(SCORES.implicit_margin_P)
    for _ in range(DRAWS):
        rows = stream.integers(PAIRS, size=PAIRS)
        value = explicit / np.std(explicit[rows]) - implicit / np.std(implicit[rows])
        kept = np.zeros(PAIRS, bool)
        kept[np.argsort(-value)[:80]] = True
        found.append(jaccard(kept, chosen(MAP)[-1]))
    overlap = under_other_sigmas(*chosen(MAP))
    assert (overlap.mean, overlap.lowest) == pytest.approx((np.mean(found), min(found)))
    assert 0.8 < overlap.lowest < overlap.mean < 1  # five pairs in a hundred or so change places


@pytest.mark.parametrize(
    "score", [partial(uniform, seed=0), implicit_reward_margin, partial(MAP.func, alpha=1.0, rescale=False)]
)
def test_a_metric_that_does_not_rescale_has_no_sigmas(score):
    assert under_other_sigmas(*chosen(score)).lowest == 1


def test_rounding_moves_each_margin_by_its_own_amount():
    # 0.1 and 0.2 are 0.1 apart: noise of 0.04 cannot change their order, of 0.4 it does in some draws of ten.
    scores = PairScores(np.array(["a", "b"]), None, np.array([0.1, -0.2]))
    case = chosen(implicit_reward_margin, partial(top_k, k=1), scores)
    assert under_rounding(*case, noise=0.04).lowest == 1
    overlap = under_rounding(*case, noise=0.4)
    assert (overlap.lowest, 0 < overlap.mean < 1) == (0, True)


def test_a_metric_without_log_probs_has_no_rounding():
    assert under_rounding(*chosen(partial(uniform, seed=0)), noise=1.0).mean == 1


def test_a_rule_that_keeps_nothing_of_a_draw_overlaps_in_nothing():
    scores = PairScores(np.array(["a", "b"]), None, np.array([0.1, -0.2]))
    case = chosen(implicit_reward_margin, partial(threshold, minimum=-0.1), scores)
    assert under_rounding(*case, noise=0.05).lowest == 0


def test_another_alpha():
    kept = kept_by(partial(alignment_potential, alpha=0.0, rescale=True), RULE, SCORES)
    assert set(np.flatnonzero(kept)) == set(np.argsort(-np.abs(SCORES.explicit_margin_P))[:80])


def test_other_draws_of_the_sources_by_numpy():
    """Of two sources, draws of both keep the selection, and draws of one twice do not."""
    explicit = SCORES.explicit_margin_P
    noise = np.random.default_rng(7).normal(0, 0.5, PAIRS)
    margins, weights = np.stack([explicit + noise, explicit - 3 * noise]), np.array([3.0, 1.0])
    given = chosen(MAP)
    stream, found = np.random.default_rng(0), []
    for _ in range(DRAWS):
        drawn = stream.integers(2, size=2)
        other = PairScores(
            SCORES.pair_id_P, weights[drawn] @ margins[drawn] / weights[drawn].sum(), given[2].implicit_margin_P
        )
        found.append(jaccard(kept_by(MAP, RULE, other), given[-1]))
    overlap = under_sources(*given, margins, weights)
    assert (overlap.mean, overlap.lowest) == pytest.approx((np.mean(found), min(found)))
    assert overlap.lowest < 0.9
    assert max(found) == 1
