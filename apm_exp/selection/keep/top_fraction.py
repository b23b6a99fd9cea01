"""The keep rule `top_fraction`: keep a fraction of the pairs, those with the highest values."""

from fractions import Fraction
from typing import Annotated

import numpy as np
from pydantic import Field

from apm_exp.core.pair_ids import PairIds
from apm_exp.selection.keep.ranking import highest


def top_fraction(
    value_P: np.ndarray, pair_id_P: np.ndarray | PairIds, *, fraction: Annotated[float, Field(gt=0, le=1)]
) -> np.ndarray:
    """Return True for the int(fraction * P) pairs with the highest values, shape P (paper Sec. 3.2 keeps 0.4).

    Raises ValueError if no pair would be kept.
    """
    pairs = len(value_P)
    count = kept_count(fraction, pairs)
    if count == 0:
        remedy = "fraction times pairs must be at least 1: set a larger fraction or use more pairs"
        raise ValueError(f"keep.fraction={fraction}: would keep 0 of {pairs} pairs; {remedy}")
    return highest(value_P, pair_id_P, count)


def kept_count(fraction: float, pairs: int) -> int:
    """Return int(fraction * pairs), computed with the decimal number that was typed: 0.29 of 100 is 29.

    In binary floating point, 0.29 * 100 is 28.999999999999996. The shortest decimal that denotes the same double is
    what the user typed, and it is multiplied exactly.
    """
    return int(Fraction(repr(float(fraction))) * pairs)


def most_kept(pairs: int, *, fraction: float) -> int:
    """Return how many of so many pairs are kept."""
    return kept_count(fraction, pairs)
