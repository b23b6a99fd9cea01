"""Student's t for whole degrees of freedom: its probabilities in closed form."""

import math

import numpy as np


def t_interval(values: np.ndarray, level: float) -> tuple[float, float]:
    """The confidence interval of the mean of at least two independent values."""
    centre, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
    width = t_quantile(level, len(values) - 1) * error
    return centre - width, centre + width


def t_test(values: np.ndarray) -> float:
    """The two-sided p-value of the mean of at least two independent values against 0."""
    centre, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
    if error == 0:
        return 1.0 if centre == 0 else 0.0
    return 1 - inside(abs(centre) / error, len(values) - 1)


def t_quantile(level: float, freedom: int) -> float:
    """The t between whose negative and positive value a share `level` of the distribution lies."""
    low, high = 0.0, 1.0
    while inside(high, freedom) < level:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if inside(middle, freedom) < level else (low, middle)
    return high


def inside(t: float, freedom: int) -> float:
    """The probability of a value between -t and t (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    term = cosine if freedom % 2 else 1.0
    total = term if freedom > 1 else 0.0
    for power in range(3 if freedom % 2 else 2, freedom - 1, 2):
        term *= cosine * cosine * (power - 1) / power
        total += term
    return 2 / math.pi * (angle + sine * total) if freedom % 2 else sine * total
