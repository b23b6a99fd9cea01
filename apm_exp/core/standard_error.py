"""The standard error of a mean over items that come in groups, as pairs come with their prompts."""

import math

import numpy as np


def standard_error(values_SN: np.ndarray, group_N: np.ndarray) -> float:
    """Return the cluster-robust standard error of the mean over rows of each row's mean, in the values' unit.

    It describes the variation over other draws of the groups; items of a group may be correlated. group_N: the number
    of each item's group. NaN means no value; every row and at least two groups must have a value. For one row without
    NaN and groups of one item it equals s / sqrt(N).
    """
    known_SN = np.isfinite(values_SN)
    residual_SN = np.where(known_SN, values_SN - np.nanmean(values_SN, axis=1, keepdims=True), 0.0)
    part_N = (residual_SN / known_SN.sum(axis=1, keepdims=True)).mean(axis=0)  # the item's contribution to the mean
    groups = len(np.unique(group_N[known_SN.any(axis=0)]))
    return math.sqrt(groups / (groups - 1) * float(np.sum(np.bincount(group_N, part_N) ** 2)))
