"""A mean over items with its uncertainty, as the record of a score."""

import math
from statistics import NormalDist
from typing import Any

import numpy as np


def share(values: np.ndarray, confidence: float) -> dict[str, Any]:
    """The mean of values in [0, 1] (1, 0, and 1/2 for a tie), with Wilson's interval, which stays inside [0, 1]."""
    n, mean = len(values), float(np.mean(values))
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre, width = mean + z * z / (2 * n), z * math.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n))
    low, high = ((centre + sign * width) / (1 + z * z / n) for sign in (-1, 1))
    return _record(values, "share", [max(0.0, low), min(1.0, high)])


def mean(values: np.ndarray, confidence: float, unit: str) -> dict[str, Any]:
    """The mean of any values in `unit`, with the normal interval, which for a share is cut to [0, 1]."""
    centre = float(np.mean(values))
    width = NormalDist().inv_cdf(0.5 + confidence / 2) * standard_error(values)
    low, high = centre - width, centre + width
    return _record(values, unit, [max(0.0, low), min(1.0, high)] if unit == "share" else [low, high])


def standard_error(values: np.ndarray) -> float:
    """The standard error of the mean of at least two values."""
    return float(np.std(values, ddof=1)) / math.sqrt(len(values))


def _record(values: np.ndarray, unit: str, interval: list[float]) -> dict[str, Any]:
    return {
        "value": float(np.mean(values)),
        "standard_error": standard_error(values),
        "n": len(values),
        "interval": interval,
        "unit": unit,
    }
