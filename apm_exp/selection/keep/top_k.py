"""The keep rule `top_k`: keep a fixed number of pairs, those with the highest values."""

from typing import Annotated

import numpy as np
from pydantic import Field

from apm_exp.core.pair_ids import PairIds
from apm_exp.selection.keep.ranking import highest


def top_k(value_P: np.ndarray, pair_id_P: np.ndarray | PairIds, *, k: Annotated[int, Field(ge=1)]) -> np.ndarray:
    """Return True for the k pairs with the highest values, shape P (D_k in Sec. 2 of the paper).

    Raises ValueError if there are fewer than k pairs.
    """
    pairs = len(value_P)
    if k > pairs:
        raise ValueError(f"keep.k={k}: there are only {pairs} pairs; set at most keep.k={pairs}")
    return highest(value_P, pair_id_P, k)


def most_kept(pairs: int, *, k: int) -> int:
    """Return how many of so many pairs are kept."""
    return min(pairs, k)


def fewest_pairs(*, k: int) -> int:
    """Return the fewest pairs of which that many can be kept."""
    return k
