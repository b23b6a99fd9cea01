"""The standard error of a mean: what it would move by, had other items been drawn."""

import math

import numpy as np


def standard_error(values_SN: np.ndarray) -> float:
    """The standard error of the mean over rows of each row's mean, in the values' unit; all rows have the same items.

    NaN is no value. Every row has a value, and two items at least have one. One row without NaN: s / sqrt(N).
    """
    known_SN = np.isfinite(values_SN)
    residual_SN = np.where(known_SN, values_SN - np.nanmean(values_SN, axis=1, keepdims=True), 0.0)
    part_N = (residual_SN / known_SN.sum(axis=1, keepdims=True)).mean(axis=0)  # what each item adds to the mean
    items = int(known_SN.any(axis=0).sum())
    return math.sqrt(items / (items - 1) * float(np.sum(part_N**2)))
