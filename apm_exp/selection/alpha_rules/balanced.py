"""The alpha rule `balanced`: both terms of M_AP contribute equally to the selection."""

import math
from collections.abc import Callable

import numpy as np

_PRECISION = 1e-7  # radians


def balanced(explicit_P: np.ndarray, implicit_P: np.ndarray, keep: Callable[[np.ndarray], np.ndarray]) -> float:
    """Return the alpha at which being kept has the same covariance with |explicit| as with -alpha |implicit|.

    The covariance with a term t is, up to a common factor, (mean of t over the kept pairs - mean over the others). The
    kept pairs depend on alpha; for a fixed number of kept pairs exactly one alpha solves this (docs/method.md), and
    bisection finds it. Raises ValueError if the keep rule does not keep a fixed number of pairs by their values, or
    keeps all pairs.
    """
    explicit_P, implicit_P = np.abs(explicit_P), np.abs(implicit_P)
    if keep(np.full(explicit_P.size, np.inf)).all():
        remedy = "set keep=top_fraction with a fraction below 1, or alpha_rule=calibrated, or give a number"
        raise ValueError(
            f"alpha=auto: the rule balanced needs a keep rule that keeps a fixed number of pairs; {remedy}"
        )

    def implicit_part_less_explicit(angle: float) -> float:
        cosine, sine = math.cos(angle), math.sin(angle)  # alpha = tan(angle) maps 0 to infinity to a finite interval
        kept_P = keep(cosine * explicit_P - sine * implicit_P)
        return -sine * _moved(implicit_P, kept_P) - cosine * _moved(explicit_P, kept_P)

    rising_P = np.arange(explicit_P.size, dtype=float)
    if (keep(rising_P) == keep(-rising_P)).all():
        remedy = "set keep=top_fraction or top_k, or give a number"
        raise ValueError(f"alpha=auto: the rule balanced needs a keep rule that uses the values; {remedy}")
    low, high = 0.0, math.pi / 2
    while high - low > _PRECISION:
        middle = (low + high) / 2
        low, high = (low, middle) if implicit_part_less_explicit(middle) > 0 else (middle, high)
    return math.tan((low + high) / 2)


def _moved(term_P: np.ndarray, kept_P: np.ndarray) -> float:
    return float(term_P.mean(where=kept_P) - term_P.mean(where=~kept_P))
