"""Which pairs have the highest values; ties go to the smaller pair_id, so row order does not matter."""

import numpy as np


def highest(value_P: np.ndarray, pair_id_P: np.ndarray, count: int) -> np.ndarray:
    """True for the `count` pairs (at least 1, at most P) with the highest values, shape P.

    Raises ValueError where a value is NaN.
    """
    value_P = numbers(value_P, pair_id_P)
    cut = np.partition(value_P, value_P.size - count)[value_P.size - count]
    kept_P = value_P > cut
    tied = np.flatnonzero(value_P == cut)
    by_id = np.argsort(np.asarray(pair_id_P)[tied], kind="stable")
    kept_P[tied[by_id[: count - np.count_nonzero(kept_P)]]] = True
    return kept_P


def numbers(value_P: np.ndarray, pair_id_P: np.ndarray) -> np.ndarray:
    """The values as an array; raises ValueError with pair_ids where a value is NaN, which has no rank."""
    value_P = np.asarray(value_P)
    bad = np.flatnonzero(np.isnan(value_P))
    if bad.size:
        ids = ", ".join(str(pair_id) for pair_id in np.asarray(pair_id_P)[bad[:5]])
        problem = f"the value is NaN for {bad.size} of {value_P.size} pairs (pair_id {ids})"
        raise ValueError(f"metric: {problem}; correct the metric")
    return value_P
