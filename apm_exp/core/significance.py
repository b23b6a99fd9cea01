"""Intervals and tests with Student's t distribution; the degrees of freedom need not be an integer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

_FAR = 5.0  # above this the small tail itself is summed; below it the inside, which takes fewer terms


def t_interval(value: float, error: float, freedom: float, level: float) -> tuple[float, float]:
    """Return the confidence interval of an estimate with its standard error."""
    width = t_quantile(level, freedom) * error
    return value - width, value + width


def t_test(value: float, error: float, freedom: float) -> float:
    """Return the two-sided p-value of an estimate with its standard error against 0."""
    if error == 0:
        return 1.0 if value == 0 else 0.0
    return outside(abs(value) / error, freedom)


@cache
def t_quantile(level: float, freedom: float) -> float:
    """Return the t such that the share `level` of the distribution lies between -t and t."""
    low, high = 0.0, 1.0
    while outside(high, freedom) > 1 - level:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if outside(middle, freedom) > 1 - level else (low, middle)
    return high


def outside(t: float, freedom: float) -> float:
    """Return the probability of a value below -t or above t, for t >= 0 (Abramowitz and Stegun 26.7.1 and 26.5.2)."""
    if t > _FAR:
        return _incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)
    return 1 - _incomplete_beta(t * t / (freedom + t * t), 0.5, freedom / 2)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Return I_x(a, b) for x below 1, by its series of positive terms (Abramowitz and Stegun 26.5.4)."""
    if x == 0:
        return 0.0
    logarithm = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a + 1) - math.lgamma(b)
    term = total = math.exp(logarithm)
    step = 0
    while term > 1e-16 * total:
        term *= x * (a + b + step) / (a + 1 + step)
        total += term
        step += 1
    return total


def holm(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p-values in the order given (Holm 1979), which control the family-wise error rate.

    The smallest of m p-values is multiplied by m, the next by m - 1, and so on; none is below the previous one or above
    1.
    """
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, (len(p_values) - rank) * p_values[index])
        adjusted[index] = min(1.0, largest)
    return adjusted


@dataclass(frozen=True)
class Error:
    """A standard error with its degrees of freedom."""

    error: float
    freedom: float


def both(prompts: Error, seeds: Error) -> Error:
    """Return the standard error of both sources together, with Welch-Satterthwaite degrees of freedom."""
    over_prompts, over_seeds = prompts.error**2, seeds.error**2
    variance = over_prompts + over_seeds
    if variance == 0:
        return seeds
    freedom = 1 / ((over_prompts / variance) ** 2 / prompts.freedom + (over_seeds / variance) ** 2 / seeds.freedom)
    return Error(variance**0.5, freedom)


def judged(value: float, prompts: Error, seeds: Error, level: float) -> tuple[tuple[float, float], float]:
    """Return the confidence interval of a mean, and its two-sided p-value against 0.

    Both come from the combined error, but are never tighter than those of the seeds alone: with two or three seeds, the
    degrees of freedom of the combination are themselves estimated, and too high.
    """
    errors = [both(prompts, seeds), seeds]
    wider = max((t_interval(value, each.error, each.freedom, level) for each in errors), key=lambda bounds: bounds[1])
    return wider, max(t_test(value, each.error, each.freedom) for each in errors)
