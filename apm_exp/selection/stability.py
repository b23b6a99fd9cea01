"""The stability of a selection under resampling of its pairs and under rounding of its log-probs."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np

from apm_exp.core.types import PairScores
from apm_exp.selection.apply_keep_rule import Rule
from apm_exp.selection.metrics.rescale import units_of
from apm_exp.selection.noise import silent

Score = Callable[[PairScores], dict[str, np.ndarray]]
DRAWS = 10
_SEED = 0


@dataclass(frozen=True)
class Overlap:
    """Jaccard indices of a selection with the selections of several draws: their mean and the lowest."""

    mean: float
    lowest: float


def under_other_sigmas(
    score: Score, rule: Rule, scores: PairScores, value_P: np.ndarray, kept_P: np.ndarray
) -> Overlap:
    """Compute the overlap under resampled sigmas.

    Each draw resamples P pairs with replacement and computes both sigmas on them; metric and rule are applied to all
    pairs. The overlap is 1 for a metric that does not rescale. value_P, kept_P: those of the selection. Memory: 24
    bytes per pair beside the metric's and the rule's.
    """
    stream = np.random.default_rng(_SEED)
    return _overlap(rule, scores, value_P, kept_P, _resampled(score, scores, stream))


def under_rounding(
    score: Score, rule: Rule, scores: PairScores, value_P: np.ndarray, kept_P: np.ndarray, noise: float
) -> Overlap:
    """Compute the overlap under random rounding errors.

    Each draw adds uniform noise within +- noise (nats per token) to each implicit margin. The overlap is 1 for a metric
    that does not use the log-probs. Memory: 24 bytes per pair beside the metric's and the rule's.
    """
    stream = np.random.default_rng(_SEED)
    return _overlap(rule, scores, value_P, kept_P, _perturbed(score, scores, noise, stream))


def under_sources(
    score: Score,
    rule: Rule,
    scores: PairScores,
    value_P: np.ndarray,
    kept_P: np.ndarray,
    margin_SP: np.ndarray,
    weight_S: np.ndarray,
) -> Overlap:
    """Compute the overlap under other reward sources: their spread is the noise of the explicit margins.

    Each draw takes S of the S sources with replacement; the explicit margin is the weighted mean of theirs, margin_SP.
    """
    stream = np.random.default_rng(_SEED)
    return _mean_overlap(rule, scores, kept_P, _redrawn(score, scores, margin_SP, weight_S, stream))


def kept_by(score: Score, rule: Rule, scores: PairScores) -> np.ndarray:
    """Return which pairs another metric or alpha would keep, shape P; no pair if the keep rule raises ValueError."""
    with silent():  # the metric has logged its warnings already
        return _kept(rule, score(scores)["value"], scores)


def _resampled(score: Score, scores: PairScores, stream: np.random.Generator) -> Iterator[np.ndarray]:
    pairs = len(scores.implicit_margin_P)
    while True:
        with units_of(stream.integers(pairs, size=pairs)):
            value_P = score(scores)["value"]
        yield value_P


def _perturbed(score: Score, scores: PairScores, noise: float, stream: np.random.Generator) -> Iterator[np.ndarray]:
    margin_P = scores.implicit_margin_P
    while True:
        moved_P = margin_P + stream.uniform(-noise, noise, len(margin_P))
        yield score(replace(scores, implicit_margin_P=moved_P))["value"]


def _redrawn(
    score: Score, scores: PairScores, margin_SP: np.ndarray, weight_S: np.ndarray, stream: np.random.Generator
) -> Iterator[np.ndarray]:
    while True:
        drawn = stream.integers(len(weight_S), size=len(weight_S))
        if weight_S[drawn].any():
            margin_P = np.average(margin_SP[drawn], axis=0, weights=weight_S[drawn])
            yield score(replace(scores, rewards_margin_P=margin_P))["value"]


def _overlap(
    rule: Rule, scores: PairScores, value_P: np.ndarray, kept_P: np.ndarray, drawn: Iterator[np.ndarray]
) -> Overlap:
    with silent():
        first_P = next(drawn)
    if np.array_equal(first_P, value_P):
        return Overlap(1.0, 1.0)  # the values do not depend on what is drawn
    return _mean_overlap(rule, scores, kept_P, chain([first_P], drawn))


def _mean_overlap(rule: Rule, scores: PairScores, kept_P: np.ndarray, drawn: Iterable[np.ndarray]) -> Overlap:
    with silent():
        overlaps = [jaccard(kept_P, _kept(rule, other_P, scores)) for other_P in islice(drawn, DRAWS)]
    return Overlap(float(np.mean(overlaps)), min(overlaps))


def _kept(rule: Rule, value_P: np.ndarray, scores: PairScores) -> np.ndarray:
    try:
        return rule(value_P, scores.pair_id_P)
    except ValueError:  # a threshold above all values
        return np.zeros(len(value_P), bool)


def jaccard(first_P: np.ndarray, second_P: np.ndarray) -> float:
    """Return the size of the intersection over the size of the union of two bool arrays; 1 for two empty sets."""
    union = int((first_P | second_P).sum())
    return int((first_P & second_P).sum()) / union if union else 1.0


def jaccard_by_chance(first: int, second: int, pairs: int) -> float:
    """Return the approximate mean Jaccard index of random selections of `first` and `second` pairs out of `pairs`."""
    both = first * second / pairs
    return both / (first + second - both)
