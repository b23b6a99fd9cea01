"""How far rounding decides what is kept."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from apm_exp.core.types import PairScores
from apm_exp.selection.apply_keep_rule import Rule


def within_noise(
    score: Callable[[PairScores], dict[str, np.ndarray]],
    rule: Rule,
    scores: PairScores,
    value_P: np.ndarray,
    kept_P: np.ndarray,
    noise: float,
) -> int:
    """The largest number of kept pairs that noise in the implicit margins (nats a token) could replace.

    Each kept pair is given the lowest value that the metric has within the noise, every other the highest, and the
    rule chooses again. The metric is evaluated at both ends of the noise and at the margin nearest to zero, which
    is exact where it rises, falls or has its extreme at zero; its scale (sigma) is computed anew each time, which
    counts only in second order. An alpha that a rule has chosen stays: `score` has the number, as the pairs counted are
    those that the rounding of their own margins could replace. Memory: 8 bytes a pair beside what the metric and the
    rule take.
    """
    worst_P = value_P.copy()
    with silent():  # what the metric had to say, it has said already
        for implicit_P in _margins(scores.implicit_margin_P, noise):
            found_P = score(replace(scores, implicit_margin_P=implicit_P))["value"]
            np.minimum(worst_P, found_P, out=worst_P, where=kept_P)
            np.maximum(worst_P, found_P, out=worst_P, where=~kept_P)
    try:
        still_P = rule(worst_P, scores.pair_id_P)
    except ValueError:  # it would keep nothing: a threshold above all of them
        return int(np.count_nonzero(kept_P))
    return int(np.count_nonzero(kept_P & ~still_P))


def _margins(implicit_P: np.ndarray, noise: float) -> Iterator[np.ndarray]:
    yield implicit_P - noise
    yield implicit_P + noise
    yield np.sign(implicit_P) * np.maximum(np.abs(implicit_P) - noise, 0)


@contextmanager
def silent() -> Iterator[None]:
    """Within it, what a metric would say again is not said."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
