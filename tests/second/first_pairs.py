"""A keep rule that does not look at values."""

from typing import Any

import numpy as np


def first_pairs(value_P: np.ndarray, pair_id_P: Any, *, number: int) -> np.ndarray:
    """Keep the first pairs, whatever their values."""
    return np.arange(len(value_P)) < number


def most_kept(pairs: int, *, number: int) -> int:
    """Return how many are kept."""
    return min(pairs, number)


def check_count(pairs: int | None, *, number: int) -> None:
    """Refuse to keep more than there are."""
    if pairs is not None and number > pairs:
        raise ValueError(f"keep.number={number}: there are only {pairs} pairs")
