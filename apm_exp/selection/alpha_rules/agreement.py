"""The alpha whose order best agrees with a signal that M_AP does not see: whether reward and policy name one answer."""

import logging
import math

import numpy as np

logger = logging.getLogger(__name__)
GRID = (0.0, *(2.0 ** (quarter / 4) for quarter in range(-16, 17)))  # 0, and 1/16 to 16 in steps of 19%
_MOST = 2**18  # pairs looked at: the standard error of a share is then about 0.001


def agreement(explicit_P: np.ndarray, implicit_P: np.ndarray) -> float:
    """The alpha of GRID at which pairs with margins of one sign most often come before pairs with opposite signs.

    M_AP is made of sizes and sees no sign. The share counted is the area under the ROC curve, ties a half; margins of
    0 have no sign and no part. Of equal alphas the smallest. A share that is less than two standard errors above one
    half is a warning. Raises ValueError where all signs agree, or none.
    """
    step = max(1, -(-explicit_P.size // _MOST))
    explicit_P, implicit_P = explicit_P[::step], implicit_P[::step]
    product_P = np.sign(explicit_P) * np.sign(implicit_P)
    one_sign_P, opposite_P = product_P > 0, product_P < 0
    if not (one_sign_P.any() and opposite_P.any()):
        found = f"margins of one sign in {one_sign_P.sum()} pairs and of opposite signs in {opposite_P.sum()}"
        remedy = "take alpha_rule=balanced, or a number"
        raise ValueError(f"alpha=auto: the rule agreement needs both, and finds {found}; {remedy}")
    explicit_P, implicit_P = np.abs(explicit_P), np.abs(implicit_P)
    values = (explicit_P - alpha * implicit_P for alpha in GRID)
    shares = [_share_before(value_P[one_sign_P], value_P[opposite_P]) for value_P in values]
    best = int(np.argmax(shares))
    _warn_of_chance(shares[best], int(one_sign_P.sum()), int(opposite_P.sum()))
    return GRID[best]


def _warn_of_chance(share: float, first: int, second: int) -> None:
    error = math.sqrt((first + second + 1) / (12 * first * second))  # of the share where the order says nothing
    if share < 0.5 + 2 * error:
        found = f"{100 * share:.1f}% (50% is chance, standard error {100 * error:.1f})"
        logger.warning("alpha=auto: the rule agreement has little to go by: its best order is right in %s", found)


def _share_before(first: np.ndarray, second: np.ndarray) -> float:
    """The share of all (first, second) in which the first value is the higher, ties a half."""
    ordered = np.sort(second)
    lower, upper = np.searchsorted(ordered, first, "left"), np.searchsorted(ordered, first, "right")
    return (int(lower.sum()) + int(upper.sum())) / (2 * first.size * second.size)
