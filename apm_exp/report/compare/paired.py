"""Paired differences of arms from the baseline arm on common items and seeds, with intervals and tests."""

from dataclasses import dataclass, replace

import numpy as np

from apm_exp.core.significance import Error, holm, judged, t_interval, t_test
from apm_exp.core.standard_error import standard_error

LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """An arm's mean outcome minus the baseline's, over common items and common seeds.

    items, prompts: their numbers over all common seeds; an item may be its own prompt. interval, p: over prompts and
    seeds (`judged`); with one seed, Student's t over prompts for these particular policies. p_holm: corrected for the
    number of arms. same: all outcomes are equal.
    """

    arm: int
    value: float
    items: int
    prompts: int
    seeds: int
    interval: tuple[float, float]
    p: float
    p_holm: float = 1.0
    same: bool = False

    @property
    def noise(self) -> bool:
        """Return whether the difference is not significant at LEVEL."""
        return self.p_holm > 1 - LEVEL


@dataclass(frozen=True)
class Mean:
    """An arm's mean outcome. by_seed: the mean of each seed. over_prompts: Student's t interval, or None."""

    value: float
    items: int
    prompts: int
    by_seed: tuple[float, ...]
    over_prompts: tuple[float, float] | None


def means(values_ASN: np.ndarray, prompt_N: np.ndarray) -> list[Mean | None]:
    """Return the mean of each arm, or None for one with items of fewer than two prompts.

    values_ASN: the outcome of each of A arms in each of S seeds for each of N items, NaN if missing. prompt_N: the
    number of each item's prompt, consecutive from 0.
    """
    arms = _known(values_ASN, prompt_N)
    return [_mean(arms[arm], prompt_N) if arm in arms else None for arm in range(len(values_ASN))]


def differences(values_ASN: np.ndarray, prompt_N: np.ndarray, baseline: int) -> list[Difference]:
    """Return the difference from the baseline arm for each arm that shares items of at least two prompts with it.

    Only items that both arms have in the same seed count. values_ASN, prompt_N: as in `means`.
    """
    arms = _known(values_ASN - values_ASN[baseline], prompt_N)
    arms.pop(baseline, None)
    against = [_difference(arm, values_SN, prompt_N) for arm, values_SN in arms.items()]
    adjusted = holm([difference.p for difference in against])
    return [replace(each, p_holm=p) for each, p in zip(against, adjusted, strict=True)]


def _known(values_ASN: np.ndarray, prompt_N: np.ndarray) -> dict[int, np.ndarray]:
    """Return, by arm number, the seeds with items of at least two prompts, shape (seeds, N); arms without any are
    omitted.
    """
    known = [
        np.array([values_N for values_N in values_SN if _numbers(values_N[None], prompt_N)[1] >= 2])
        for values_SN in values_ASN
    ]
    return {arm: values_SN for arm, values_SN in enumerate(known) if len(values_SN)}


def _numbers(values_SN: np.ndarray, prompt_N: np.ndarray) -> tuple[int, int]:
    """Return how many items have a value in any seed, and how many prompts they belong to."""
    known_N = np.isfinite(values_SN).any(axis=0)
    return int(known_N.sum()), len(np.unique(prompt_N[known_N]))


def _mean(values_SN: np.ndarray, prompt_N: np.ndarray) -> Mean:
    by_seed, (items, prompts) = np.nanmean(values_SN, axis=1), _numbers(values_SN, prompt_N)
    value = float(by_seed.mean())
    interval = t_interval(value, standard_error(values_SN, prompt_N), prompts - 1, LEVEL)
    return Mean(value, items, prompts, tuple(map(float, by_seed)), interval)


def _difference(arm: int, values_SN: np.ndarray, prompt_N: np.ndarray) -> Difference:
    by_seed, (items, prompts) = np.nanmean(values_SN, axis=1), _numbers(values_SN, prompt_N)
    value, over_prompts = float(by_seed.mean()), Error(standard_error(values_SN, prompt_N), prompts - 1)
    if len(by_seed) == 1:
        # If all prompts differ by the same value, the error is 0; use the one as if one more prompt had no difference.
        error = over_prompts.error or abs(value) / (prompts + 1)
        interval, p = t_interval(value, error, prompts - 1, LEVEL), t_test(value, error, prompts - 1)
    else:
        over_seeds = Error(standard_error(by_seed[None], np.arange(len(by_seed))), len(by_seed) - 1)
        interval, p = judged(value, over_prompts, over_seeds, LEVEL)
    same = not np.nan_to_num(values_SN).any()
    return Difference(arm, value, items, prompts, len(by_seed), interval, p, same=same)
