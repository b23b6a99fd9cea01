"""The alpha at which both terms of M_AP have the same part in the cut."""

import math
from collections.abc import Callable

import numpy as np

_PRECISION = 1e-7  # radians


def balanced(explicit_P: np.ndarray, implicit_P: np.ndarray, keep: Callable[[np.ndarray], np.ndarray]) -> float:
    """The alpha at which keeping a pair has the same covariance with |explicit| as with -alpha |implicit|.

    Of a term t that is (mean of t over the kept pairs - mean over the others), up to a factor that both share: how far
    the cut moves it. What is kept depends on alpha, and so does the answer; with a fixed number of kept pairs
    exactly one alpha is right (docs/method.md), and bisection finds it. Raises ValueError where the keep rule does
    not keep a fixed number of pairs by their values, or keeps all.
    """
    explicit_P, implicit_P = np.abs(explicit_P), np.abs(implicit_P)
    if keep(np.full(explicit_P.size, np.inf)).all():
        remedy = "take keep=top_fraction with a fraction below 1, alpha_rule=calibrated, or a number"
        raise ValueError(f"alpha=auto: the rule balanced needs a cut at a fixed number of pairs; {remedy}")

    def implicit_part_less_explicit(angle: float) -> float:
        cosine, sine = math.cos(angle), math.sin(angle)  # alpha = tan(angle), so that 0 to infinity is an interval
        kept_P = keep(cosine * explicit_P - sine * implicit_P)
        return -sine * _moved(implicit_P, kept_P) - cosine * _moved(explicit_P, kept_P)

    rising_P = np.arange(explicit_P.size, dtype=float)
    if (keep(rising_P) == keep(-rising_P)).all():
        remedy = "take keep=top_fraction or top_k, or a number"
        raise ValueError(f"alpha=auto: the rule balanced needs a cut by value, and keep= does not look at it; {remedy}")
    low, high = 0.0, math.pi / 2
    while high - low > _PRECISION:
        middle = (low + high) / 2
        low, high = (low, middle) if implicit_part_less_explicit(middle) > 0 else (middle, high)
    return math.tan((low + high) / 2)


def _moved(term_P: np.ndarray, kept_P: np.ndarray) -> float:
    return float(term_P.mean(where=kept_P) - term_P.mean(where=~kept_P))
