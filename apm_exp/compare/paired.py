"""Differences of arms to the baseline arm on what they have in common, with what chance could have made of them."""

from dataclasses import dataclass, replace

import numpy as np

from apm_exp.compare.bootstrap import p_value, percentile_interval, resampled_means
from apm_exp.compare.holm import holm
from apm_exp.compare.two_sources import Error, judged
from apm_exp.standard_error import standard_error

LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """An arm's mean outcome minus the baseline's, over common items and common seeds.

    items, prompts: those of all common seeds together; an item may be its own prompt. interval, p: over prompts and
    seeds (`judged`); of one seed the bootstrap's over prompts, the policies as they are. p_holm: corrected for the
    number of arms. same: no outcome differs.
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
        """Whether chance alone would make such a difference too often to call it one."""
        return self.p_holm > 1 - LEVEL


@dataclass(frozen=True)
class Mean:
    """An arm's own mean outcome. by_seed: of each seed. over_prompts: the bootstrap's interval, where known."""

    value: float
    items: int
    prompts: int
    by_seed: tuple[float, ...]
    over_prompts: tuple[float, float] | None


def means(values_ASN: np.ndarray, prompt_N: np.ndarray) -> list[Mean | None]:
    """The mean of each arm, None for one with items of fewer than two prompts.

    values_ASN: the outcome of each of A arms in each of S seeds for each of N items, NaN where there is none.
    prompt_N: the number of each item's prompt, from 0, none left out.
    """
    arms = _known(values_ASN, prompt_N)
    found = {arm: _mean(arms[arm], prompt_N, drawn_R) for arm, drawn_R in _drawn(arms, prompt_N).items()}
    return [found.get(arm) for arm in range(len(values_ASN))]


def differences(values_ASN: np.ndarray, prompt_N: np.ndarray, baseline: int) -> list[Difference]:
    """The difference of each other arm that has items of at least two prompts in common with the baseline arm.

    Paired: only an item that both arms have, in the same seed, counts. values_ASN, prompt_N: as in `means`.
    """
    arms = _known(values_ASN - values_ASN[baseline], prompt_N)
    arms.pop(baseline, None)
    drawn = _drawn({arm: values_SN for arm, values_SN in arms.items() if len(values_SN) == 1}, prompt_N)
    found = [_difference(arm, values_SN, prompt_N, drawn.get(arm)) for arm, values_SN in arms.items()]
    adjusted = holm([one.p for one in found])
    return [replace(one, p_holm=p) for one, p in zip(found, adjusted, strict=True)]


def _known(values_ASN: np.ndarray, prompt_N: np.ndarray) -> dict[int, np.ndarray]:
    """By the number of the arm: its seeds with items of at least two prompts, shape (seeds, N); no arm without any."""
    known = [
        np.array([values_N for values_N in values_SN if _numbers(values_N[None], prompt_N)[1] >= 2])
        for values_SN in values_ASN
    ]
    return {arm: values_SN for arm, values_SN in enumerate(known) if len(values_SN)}


def _drawn(arms: dict[int, np.ndarray], prompt_N: np.ndarray) -> dict[int, np.ndarray]:
    """The bootstrap's means over items and seeds of each arm, shape R; all arms see the same draws."""
    if not arms:
        return {}
    drawn_RC = resampled_means(np.concatenate(list(arms.values())), prompt_N)
    ends = np.cumsum([len(values_SN) for values_SN in arms.values()])[:-1]
    return dict(zip(arms, (part.mean(axis=1) for part in np.split(drawn_RC, ends, axis=1)), strict=True))


def _numbers(values_SN: np.ndarray, prompt_N: np.ndarray) -> tuple[int, int]:
    """How many items have a value in any seed, and of how many prompts they are."""
    known_N = np.isfinite(values_SN).any(axis=0)
    return int(known_N.sum()), len(np.unique(prompt_N[known_N]))


def _mean(values_SN: np.ndarray, prompt_N: np.ndarray, drawn_R: np.ndarray) -> Mean:
    by_seed = np.nanmean(values_SN, axis=1)
    interval = percentile_interval(drawn_R, LEVEL)
    return Mean(float(by_seed.mean()), *_numbers(values_SN, prompt_N), tuple(map(float, by_seed)), interval)


def _difference(arm: int, values_SN: np.ndarray, prompt_N: np.ndarray, drawn_R: np.ndarray | None) -> Difference:
    by_seed, (items, prompts) = np.nanmean(values_SN, axis=1), _numbers(values_SN, prompt_N)
    value = float(by_seed.mean())
    if drawn_R is not None:
        interval, p = percentile_interval(drawn_R, LEVEL), p_value(drawn_R)
    else:
        over_prompts = Error(standard_error(values_SN, prompt_N), prompts - 1)
        over_seeds = Error(standard_error(by_seed[None], np.arange(len(by_seed))), len(by_seed) - 1)
        interval, p = judged(value, over_prompts, over_seeds, LEVEL)
    same = not np.nan_to_num(values_SN).any()
    return Difference(arm, value, items, prompts, len(by_seed), interval, p, same=same)
