"""Selection of the highest values; ties go to the smaller pair_id, so the order of the rows does not matter."""

import numpy as np

from apm_exp.core.pair_ids import PairIds

_SAMPLE = 2**18
_SPREAD = 5 * 2**9  # five times the square root of _SAMPLE: about ten standard errors of a rank in the sample


def highest(value_P: np.ndarray, pair_id_P: np.ndarray | PairIds, count: int) -> np.ndarray:
    """Return True for the `count` pairs (at least 1, at most P) with the highest values, shape P.

    Ties at the cut are resolved by pair_id. For an array, the strings of the tied pairs are compared; the rows of a
    file are sorted by pair_id already. Memory beside the values: 3 bytes per pair, and 8 for each value near the cut.
    Raises ValueError if a value is NaN.
    """
    value_P = numbers(value_P, pair_id_P)
    cut = _highest_but(value_P, count)
    kept_P = value_P > cut
    missing = count - np.count_nonzero(kept_P)
    tied = np.flatnonzero(value_P == cut)
    if not isinstance(pair_id_P, PairIds):
        tied = tied[np.argsort(np.asarray(pair_id_P)[tied], kind="stable")]
    kept_P[tied[:missing]] = True
    return kept_P


def numbers(value_P: np.ndarray, pair_id_P: np.ndarray | PairIds) -> np.ndarray:
    """Return the values as an array; raises ValueError with pair_ids if a value is NaN, which cannot be ranked."""
    value_P = np.asarray(value_P)
    bad = np.flatnonzero(np.isnan(value_P))
    if bad.size:
        ids = ", ".join(str(pair_id) for pair_id in pair_id_P[bad[:5]])
        problem = f"the value is NaN for {bad.size} of {value_P.size} pairs (pair_id {ids})"
        raise ValueError(f"metric: {problem}; fix the metric")
    return value_P


def _highest_but(value_P: np.ndarray, count: int) -> float:
    """Return the count-th highest value, exactly.

    Only values near the cut, as estimated from a sample, are copied and partitioned; if the estimate is wrong, all are.
    """
    rank = value_P.size - count
    sample = np.sort(value_P[:: -(-value_P.size // _SAMPLE)])
    place = rank * sample.size // value_P.size
    low = sample[place - _SPREAD] if place >= _SPREAD else -np.inf
    high = sample[place + _SPREAD] if place + _SPREAD < sample.size else np.inf
    near = value_P[(value_P >= low) & (value_P <= high)]
    rank_near = rank - int(np.count_nonzero(value_P < low))
    if not 0 <= rank_near < near.size:
        near, rank_near = value_P.copy(), rank
    near.partition(rank_near)
    return near[rank_near]
