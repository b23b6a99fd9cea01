"""How far two choices of pairs are the same."""

import numpy as np


def jaccard(first_P: np.ndarray, second_P: np.ndarray) -> float:
    """Size of the intersection over size of the union of two sets given as bool arrays; 1 for two empty sets."""
    union = int((first_P | second_P).sum())
    return int((first_P & second_P).sum()) / union if union else 1.0


def jaccard_by_chance(first: int, second: int, pairs: int) -> float:
    """About the mean Jaccard index of two independent choices of `first` and of `second` pairs out of `pairs`."""
    both = first * second / pairs
    return both / (first + second - both)
