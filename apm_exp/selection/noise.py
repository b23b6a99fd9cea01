"""The sensitivity of a selection to rounding of the log-probs."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from apm_exp.core import component
from apm_exp.core.pair_ids import PairIds
from apm_exp.core.rounding import NOISE
from apm_exp.core.sorted_parquet import read_column
from apm_exp.core.types import PairScores
from apm_exp.selection.apply_keep_rule import Rule


def selection_within_noise(selected: Path, metric: Mapping[str, Any], keep: Mapping[str, Any], noise: float) -> int:
    """Return `within_noise` of a selection.parquet, given the nodes of its metric and keep rule."""
    value_P, kept_P = read_column(selected, "value"), read_column(selected, "kept").astype(bool)
    explicit_P, implicit_P = read_column(selected, "explicit_margin"), read_column(selected, "implicit_margin")
    known_P = None if np.isnan(explicit_P).all() else explicit_P
    scores = PairScores(PairIds(selected, value_P.size), known_P, implicit_P)
    score, rule = component.bind("metric", metric), component.bind("keep", keep)
    return within_noise(score, rule, scores, value_P, kept_P, noise)


def within_noise(
    score: Callable[[PairScores], dict[str, np.ndarray]],
    rule: Rule,
    scores: PairScores,
    value_P: np.ndarray,
    kept_P: np.ndarray,
    noise: float,
) -> int:
    """Return the largest number of kept pairs that noise in the implicit margins (nats per token) could replace.

    Each kept pair gets the lowest value that the metric has within the noise, every other pair the highest, and the
    keep rule is applied again. The metric is evaluated at both ends of the noise interval and at the margin nearest to
    zero, which is exact if it is monotonic or has its extremum at zero. Its scale (sigma) is recomputed each time,
    which is only a second-order effect. An alpha that a rule has chosen is not chosen again. Memory: 8 bytes per pair
    beside what the metric and the rule need.
    """
    worst_P = value_P.copy()
    with silent():  # the metric has logged its warnings already
        for implicit_P in _margins(scores.implicit_margin_P, noise):
            noisy_P = score(replace(scores, implicit_margin_P=implicit_P))["value"]
            np.minimum(worst_P, noisy_P, out=worst_P, where=kept_P)
            np.maximum(worst_P, noisy_P, out=worst_P, where=~kept_P)
    try:
        still_P = rule(worst_P, scores.pair_id_P)
    except ValueError:  # the rule would keep nothing: a threshold above all values
        return int(np.count_nonzero(kept_P))
    return int(np.count_nonzero(kept_P & ~still_P))


def _margins(implicit_P: np.ndarray, noise: float) -> Iterator[np.ndarray]:
    yield implicit_P - noise
    yield implicit_P + noise
    yield np.sign(implicit_P) * np.maximum(np.abs(implicit_P) - noise, 0)


@contextmanager
def silent() -> Iterator[None]:
    """Suppress warnings that a metric has logged before."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def said_of_rounding(loose: int, dtype: str) -> str:
    """Return how many kept pairs rounding could replace, and what makes them fewer."""
    noise = f"{NOISE[dtype]:g} nats per token in {dtype}"
    exact = "runtime.tf32=false" if dtype == "tf32" else "model.dtype=float32"
    more = "" if dtype == "float32" else f"; {exact} computes them more exactly"
    return f"rounding of the log-probs ({noise}) could replace at most {loose:,} of the kept pairs{more}"
