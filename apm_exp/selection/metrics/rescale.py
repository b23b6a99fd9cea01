"""The rescaling that several metrics use: each margin is divided by its spread over the ranked pairs."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import numpy as np

from apm_exp.core.types import PairScores
from apm_exp.selection.margins import finite

logger = logging.getLogger(__name__)
ROUNDING = 1e-12  # numbers whose difference is less than this fraction of the largest count as equal
_rows: ContextVar[np.ndarray | None] = ContextVar("the rows whose spread is the unit", default=None)


@contextmanager
def units_of(rows: np.ndarray) -> Iterator[None]:
    """Make `rescaled` use the standard deviation over these rows (indices, which may repeat) inside the block.

    A report uses this to evaluate any metric that rescales on another sample of the pairs.
    """
    token = _rows.set(rows)
    try:
        yield
    finally:
        _rows.reset(token)


def signed_margins(scores: PairScores, rescale: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the explicit and the implicit margins, signed, each of shape P.

    rescale: divide each by its standard deviation (see `rescaled`); otherwise they are in reward units and nats per
    token. Raises MissingRewards if the pairs have no rewards, ValueError for margins that are not finite.
    """
    explicit_P = finite(scores.explicit_margin_P, scores.pair_id_P, "explicit")
    implicit_P = finite(scores.implicit_margin_P, scores.pair_id_P, "implicit")
    if not rescale:
        return explicit_P, implicit_P
    return rescaled(explicit_P, "explicit"), rescaled(implicit_P, "implicit")


def rescaled(margin_P: np.ndarray, name: Literal["explicit", "implicit"]) -> np.ndarray:
    """Return the margins divided by the population standard deviation of their absolute values (paper App. D.1).

    No mean is subtracted. If all absolute margins are equal, the standard deviation is 0: the result is zero for every
    pair, and a warning is logged.
    """
    rows = _rows.get()
    sigma = population_std(np.abs(margin_P if rows is None else margin_P[rows]))
    if sigma == 0:
        size = "the %s margins of all %d pairs have the same size: their standard deviation is 0"
        logger.warning(size + " and the term contributes 0 to the metric", name, margin_P.size)
        return np.zeros_like(margin_P)
    return margin_P / sigma


def population_std(values_P: np.ndarray) -> float:
    """Return the standard deviation with divisor P, and exactly 0 if the values are equal up to rounding.

    Sums are correctly rounded, so the result depends neither on the order of the values nor on the machine. The values
    are first scaled by a power of two, so that their squares neither overflow nor underflow.
    """
    largest = float(np.max(np.abs(values_P), initial=0.0))
    scale = math.ldexp(1.0, math.frexp(largest)[1] - 1)
    scaled_P = values_P / scale
    if largest == 0 or float(np.ptp(scaled_P)) <= ROUNDING * largest / scale:
        return 0.0
    mean = math.fsum(scaled_P) / scaled_P.size
    return scale * math.sqrt(math.fsum((scaled_P - mean) ** 2) / scaled_P.size)
