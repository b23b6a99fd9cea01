"""Differences of arms to the baseline arm on what they have in common, with what chance could have made of them."""

from dataclasses import dataclass, replace

import numpy as np

from apm_exp.compare.bootstrap import p_value, percentile_interval, resampled_means
from apm_exp.compare.holm import holm
from apm_exp.compare.student_t import t_interval, t_test

LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """An arm's mean outcome minus the baseline's, over common items and common seeds.

    items: those of all common seeds together. over_items: interval of the bootstrap, the policies as they are.
    over_seeds: t interval of the seeds' differences, None for one seed. p: the larger of the two tests'.
    seeds_decide: whether that is the seeds'. p_holm: corrected for the number of arms. same: no outcome differs.
    """

    arm: int
    value: float
    items: int
    seeds: int
    over_items: tuple[float, float]
    over_seeds: tuple[float, float] | None
    p: float
    p_holm: float = 1.0
    seeds_decide: bool = False
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


@dataclass(frozen=True, eq=False)
class _Estimate:
    """by_seed: mean of each seed that has at least two items. drawn: the bootstrap's means of all of them.

    zero: whether all values are 0.
    """

    by_seed: np.ndarray
    items: int
    drawn: np.ndarray
    zero: bool


def means(values_ASN: np.ndarray) -> list[Mean | None]:
    """The mean of each arm, None for one with fewer than two items.

    values_ASN: the outcome of each of A arms in each of S seeds for each of N items, NaN where there is none.
    """
    return [None if one is None else _mean(one) for one in _estimates(values_ASN)]


def differences(values_ASN: np.ndarray, baseline: int) -> list[Difference]:
    """The difference of each other arm that has at least two items in common with the baseline arm.

    Paired: only an item that both arms have, in the same seed, counts. values_ASN: as in `means`.
    """
    estimates = _estimates(values_ASN - values_ASN[baseline])
    found = [_difference(arm, one) for arm, one in enumerate(estimates) if arm != baseline and one is not None]
    adjusted = holm([one.p for one in found])
    return [replace(one, p_holm=p) for one, p in zip(found, adjusted, strict=True)]


def _estimates(values_ASN: np.ndarray) -> list[_Estimate | None]:
    known_AS = np.isfinite(values_ASN).sum(axis=2) >= 2
    values_CN, arm_C = values_ASN[known_AS], np.nonzero(known_AS)[0]
    drawn_RC = resampled_means(values_CN)
    return [_estimate(values_CN[arm_C == arm], drawn_RC[:, arm_C == arm]) for arm in range(len(values_ASN))]


def _estimate(values_SN: np.ndarray, drawn_RS: np.ndarray) -> _Estimate | None:
    if not len(values_SN):
        return None
    items = int(np.isfinite(values_SN).any(axis=0).sum())
    zero = not np.nan_to_num(values_SN).any()
    return _Estimate(np.nanmean(values_SN, axis=1), items, drawn_RS.mean(axis=1), zero)


def _mean(one: _Estimate) -> Mean:
    interval = percentile_interval(one.drawn, LEVEL)
    return Mean(float(one.by_seed.mean()), one.items, tuple(map(float, one.by_seed)), interval)


def _difference(arm: int, one: _Estimate) -> Difference:
    several = len(one.by_seed) > 1
    p_items, p_seeds = p_value(one.drawn), t_test(one.by_seed) if several else 0.0
    return Difference(
        arm=arm,
        value=float(one.by_seed.mean()),
        items=one.items,
        seeds=len(one.by_seed),
        over_items=percentile_interval(one.drawn, LEVEL),
        over_seeds=t_interval(one.by_seed, LEVEL) if several else None,
        p=max(p_items, p_seeds),
        seeds_decide=p_seeds > p_items,
        same=one.zero,
    )
