"""How much of a selection would stay if its pairs, or the rounding of its log-probs, had been others."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

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
    """Jaccard indices of a selection with what it would have been in several draws: their mean and the lowest."""

    mean: float
    lowest: float


def under_other_sigmas(
    score: Score, rule: Rule, scores: PairScores, value_P: np.ndarray, kept_P: np.ndarray
) -> Overlap:
    """Each draw resamples P pairs with replacement; both sigmas are theirs, metric and rule are applied to all pairs.

    1 for a metric that does not rescale. value_P, kept_P: what the selection has. Memory: 24 bytes a pair beside the
    metric's and the rule's.
    """
    stream = np.random.default_rng(_SEED)
    return _overlap(rule, scores, value_P, kept_P, _resampled(score, scores, stream))


def under_rounding(
    score: Score, rule: Rule, scores: PairScores, value_P: np.ndarray, kept_P: np.ndarray, noise: float
) -> Overlap:
    """Each draw moves each implicit margin by its own amount, evenly within +- noise (nats a token).

    1 for a metric that does not look at the log-probs. Memory: 24 bytes a pair beside the metric's and the rule's.
    """
    stream = np.random.default_rng(_SEED)
    return _overlap(rule, scores, value_P, kept_P, _perturbed(score, scores, noise, stream))


def kept_by(score: Score, rule: Rule, scores: PairScores) -> np.ndarray:
    """What another metric, or the same with another alpha, would keep; none where the rule refuses. Shape P."""
    with silent():  # what the metric had to say, it has said already
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


def _overlap(
    rule: Rule, scores: PairScores, value_P: np.ndarray, kept_P: np.ndarray, drawn: Iterable[np.ndarray]
) -> Overlap:
    found: list[float] = []
    with silent():
        for other_P in drawn:
            if not found and np.array_equal(other_P, value_P):
                return Overlap(1.0, 1.0)  # it does not depend on what is drawn
            found.append(jaccard(kept_P, _kept(rule, other_P, scores)))
            if len(found) == DRAWS:
                break
    return Overlap(float(np.mean(found)), min(found))


def _kept(rule: Rule, value_P: np.ndarray, scores: PairScores) -> np.ndarray:
    try:
        return rule(value_P, scores.pair_id_P)
    except ValueError:  # a threshold above all of them
        return np.zeros(len(value_P), bool)


def jaccard(first_P: np.ndarray, second_P: np.ndarray) -> float:
    """Size of the intersection over size of the union of two sets given as bool arrays; 1 for two empty sets."""
    union = int((first_P | second_P).sum())
    return int((first_P & second_P).sum()) / union if union else 1.0


def jaccard_by_chance(first: int, second: int, pairs: int) -> float:
    """About the mean Jaccard index of two independent choices of `first` and of `second` pairs out of `pairs`."""
    both = first * second / pairs
    return both / (first + second - both)
