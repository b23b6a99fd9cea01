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

    items: those of all common seeds together. interval, p: over items and seeds (`judged`); of one seed the
    bootstrap's over items, the policies as they are. p_holm: corrected for the number of arms. same: no outcome
    differs.
    """

    arm: int
    value: float
    items: int
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
    """An arm's own mean outcome. by_seed: of each seed. over_items: the bootstrap's interval, where known."""

    value: float
    items: int
    by_seed: tuple[float, ...]
    over_items: tuple[float, float] | None


def means(values_ASN: np.ndarray) -> list[Mean | None]:
    """The mean of each arm, None for one with fewer than two items.

    values_ASN: the outcome of each of A arms in each of S seeds for each of N items, NaN where there is none.
    """
    arms = _known(values_ASN)
    found = {arm: _mean(arms[arm], drawn_R) for arm, drawn_R in _drawn(arms).items()}
    return [found.get(arm) for arm in range(len(values_ASN))]


def differences(values_ASN: np.ndarray, baseline: int) -> list[Difference]:
    """The difference of each other arm that has at least two items in common with the baseline arm.

    Paired: only an item that both arms have, in the same seed, counts. values_ASN: as in `means`.
    """
    arms = _known(values_ASN - values_ASN[baseline])
    arms.pop(baseline, None)
    drawn = _drawn({arm: values_SN for arm, values_SN in arms.items() if len(values_SN) == 1})
    found = [_difference(arm, values_SN, drawn.get(arm)) for arm, values_SN in arms.items()]
    adjusted = holm([one.p for one in found])
    return [replace(one, p_holm=p) for one, p in zip(found, adjusted, strict=True)]


def _known(values_ASN: np.ndarray) -> dict[int, np.ndarray]:
    """By the number of the arm: its seeds that have at least two items, shape (seeds, N); no arm without any."""
    known = [values_SN[np.isfinite(values_SN).sum(axis=1) >= 2] for values_SN in values_ASN]
    return {arm: values_SN for arm, values_SN in enumerate(known) if len(values_SN)}


def _drawn(arms: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """The bootstrap's means over items and seeds of each arm, shape R; all arms see the same draws."""
    if not arms:
        return {}
    drawn_RC = resampled_means(np.concatenate(list(arms.values())))
    ends = np.cumsum([len(values_SN) for values_SN in arms.values()])[:-1]
    return dict(zip(arms, (part.mean(axis=1) for part in np.split(drawn_RC, ends, axis=1)), strict=True))


def _items(values_SN: np.ndarray) -> int:
    """How many items have a value in any seed."""
    return int(np.isfinite(values_SN).any(axis=0).sum())


def _mean(values_SN: np.ndarray, drawn_R: np.ndarray) -> Mean:
    by_seed = np.nanmean(values_SN, axis=1)
    interval = percentile_interval(drawn_R, LEVEL)
    return Mean(float(by_seed.mean()), _items(values_SN), tuple(map(float, by_seed)), interval)


def _difference(arm: int, values_SN: np.ndarray, drawn_R: np.ndarray | None) -> Difference:
    by_seed, items = np.nanmean(values_SN, axis=1), _items(values_SN)
    value = float(by_seed.mean())
    if drawn_R is not None:
        interval, p = percentile_interval(drawn_R, LEVEL), p_value(drawn_R)
    else:
        over_items = Error(standard_error(values_SN), items - 1)
        over_seeds = Error(standard_error(by_seed[None]), len(by_seed) - 1)
        interval, p = judged(value, over_items, over_seeds, LEVEL)
    same = not np.nan_to_num(values_SN).any()
    return Difference(arm, value, items, len(by_seed), interval, p, same=same)
