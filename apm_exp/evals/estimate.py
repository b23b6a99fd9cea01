"""A mean over items with its uncertainty, as the record of a score.

Items of one prompt (`prompt_N`: the number of each item's prompt) may be correlated, so standard errors and intervals
are clustered by prompt; if each item has its own prompt, they are the usual ones.
"""

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from apm_exp.core.significance import t_interval
from apm_exp.core.standard_error import standard_error


def share(values: np.ndarray, prompt_N: np.ndarray, confidence: float) -> dict[str, Any]:
    """Return the mean of values in [0, 1] (1, 0, and 1/2 for a tie), with Wilson's interval, which is within [0, 1]."""
    n, mean = _independent(values, prompt_N), float(np.mean(values))
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    center, width = mean + z * z / (2 * n), z * math.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n))
    low, high = ((center + sign * width) / (1 + z * z / n) for sign in (-1, 1))
    return _record(values, prompt_N, "share", [max(0.0, low), min(1.0, high)])


def mean(values: np.ndarray, prompt_N: np.ndarray, confidence: float, unit: str) -> dict[str, Any]:
    """Return the mean of values in `unit`, with Student's t interval over prompts, clipped to [0, 1] for a share."""
    freedom = len(np.unique(prompt_N)) - 1
    low, high = t_interval(float(np.mean(values)), standard_error(values[None], prompt_N), freedom, confidence)
    return _record(values, prompt_N, unit, [max(0.0, low), min(1.0, high)] if unit == "share" else [low, high])


def _independent(values: np.ndarray, prompt_N: np.ndarray) -> float:
    """Return the effective sample size: how many independent values would have this standard error, at most n.

    If all values are equal, it is the number of prompts.
    """
    n, prompts, variance = len(values), len(np.unique(prompt_N)), float(np.var(values, ddof=1))
    if prompts == n or variance == 0:
        return float(prompts)
    return variance / max(standard_error(values[None], prompt_N) ** 2, variance / n)


def _record(values: np.ndarray, prompt_N: np.ndarray, unit: str, interval: list[float]) -> dict[str, Any]:
    """Return the record of a score, with `prompts` if there are fewer prompts than items."""
    n, prompts = len(values), len(np.unique(prompt_N))
    record = {
        "value": float(np.mean(values)),
        "standard_error": standard_error(values[None], prompt_N),
        "n": n,
        "interval": interval,
        "unit": unit,
    }
    return record | ({"prompts": prompts} if prompts < n else {})
