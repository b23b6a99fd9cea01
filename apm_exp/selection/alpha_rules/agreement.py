"""The alpha rule `agreement`: how well M_AP separates pairs on which reward and policy prefer the same response."""

import logging
import math

import numpy as np

logger = logging.getLogger(__name__)
GRID = (0.0, *(2.0 ** (quarter / 4) for quarter in range(-16, 17)))  # 0, and 1/16 to 16 in steps of 19%
_MOST = 2**18  # maximum number of pairs used: the standard error of a share is then about 0.001


def agreement(explicit_P: np.ndarray, implicit_P: np.ndarray) -> float:
    """Return the alpha of GRID that best ranks pairs with margins of equal sign above pairs with opposite signs.

    M_AP uses absolute margins and does not see the signs. The criterion is the area under the ROC curve, with ties
    counted as one half; margins of 0 have no sign and are ignored. Among equal alphas the smallest is returned. Logs a
    warning if the area is less than two standard errors above one half. Raises ValueError if all signs agree, or none.
    """
    step = max(1, -(-explicit_P.size // _MOST))
    explicit_P, implicit_P = explicit_P[::step], implicit_P[::step]
    product_P = np.sign(explicit_P) * np.sign(implicit_P)
    one_sign_P, opposite_P = product_P > 0, product_P < 0
    if not (one_sign_P.any() and opposite_P.any()):
        counts = f"{one_sign_P.sum()} pairs with margins of equal sign and {opposite_P.sum()} of opposite signs"
        remedy = "set alpha_rule=balanced, or give a number"
        raise ValueError(f"alpha=auto: the rule agreement needs both kinds and there are {counts}; {remedy}")
    explicit_P, implicit_P = np.abs(explicit_P), np.abs(implicit_P)
    values = (explicit_P - alpha * implicit_P for alpha in GRID)
    shares = [_share_before(value_P[one_sign_P], value_P[opposite_P]) for value_P in values]
    best = int(np.argmax(shares))
    _warn_of_chance(shares[best], int(one_sign_P.sum()), int(opposite_P.sum()))
    return GRID[best]


def _warn_of_chance(share: float, first: int, second: int) -> None:
    # standard error of the share under the null hypothesis of a random order
    error = math.sqrt((first + second + 1) / (12 * first * second))
    if share < 0.5 + 2 * error:
        accuracy = f"{100 * share:.1f}% (50% is chance, standard error {100 * error:.1f})"
        logger.warning("alpha=auto: the rule agreement is close to chance: its best order is right in %s", accuracy)


def _share_before(first: np.ndarray, second: np.ndarray) -> float:
    """Return the share of all pairs (first, second) in which the first value is higher; a tie counts one half."""
    ordered = np.sort(second)
    lower, upper = np.searchsorted(ordered, first, "left"), np.searchsorted(ordered, first, "right")
    return (int(lower.sum()) + int(upper.sum())) / (2 * first.size * second.size)
