"""Rank correlations of two lists of numbers, with ties, in O(n log n)."""

import numpy as np


def spearman(first_N: np.ndarray, second_N: np.ndarray) -> float:
    """Return the correlation of the ranks, tied values with their mean rank; NaN if one list has equal values only."""
    ranks = np.stack([_mean_ranks(first_N), _mean_ranks(second_N)])
    centered = ranks - ranks.mean(1, keepdims=True)
    norm = float(np.sqrt((centered**2).sum(1).prod()))
    return float((centered[0] * centered[1]).sum() / norm) if norm else float("nan")


def kendall(first_N: np.ndarray, second_N: np.ndarray) -> float:
    """Return Kendall's tau-b; NaN if one list has equal values only."""
    first_N, second_N = (np.unique(each, return_inverse=True)[1] for each in (first_N, second_N))
    order = np.lexsort((second_N, first_N))
    pairs = len(first_N) * (len(first_N) - 1) // 2
    both = first_N * (int(second_N.max(initial=0)) + 1) + second_N
    tied, tied_second, tied_both = _tied(first_N), _tied(second_N), _tied(both)
    discordant = _inversions(second_N[order])
    concordant = pairs - tied - tied_second + tied_both - discordant
    norm = float(np.sqrt(float(pairs - tied) * float(pairs - tied_second)))
    return (concordant - discordant) / norm if norm else float("nan")


def _mean_ranks(values_N: np.ndarray) -> np.ndarray:
    _, place_N, count_K = np.unique(values_N, return_inverse=True, return_counts=True)
    return (np.cumsum(count_K) - (count_K - 1) / 2)[place_N]


def _tied(values_N: np.ndarray) -> int:
    """Return the number of pairs of equal values."""
    count_K = np.unique(values_N, return_counts=True)[1]
    return int((count_K * (count_K - 1) // 2).sum())


def _inversions(values_N: np.ndarray) -> int:
    """Return the number of pairs whose earlier value is the larger: those between the halves of growing blocks."""
    index_N, width, total = np.arange(len(values_N)), 1, 0
    while width < len(values_N):
        block_N = index_N // (2 * width)
        order = np.lexsort((values_N, block_N))  # stable: of equal values, those of the left half come first
        left_N = (index_N[order] // width) % 2 == 0
        before_N = np.cumsum(left_N)
        last_N = before_N[np.searchsorted(block_N, block_N, side="right") - 1]  # of the element's block
        total += int((last_N - before_N)[~left_N].sum())
        width *= 2
    return total
