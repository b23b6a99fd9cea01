"""Which arm the others are compared with."""

from collections.abc import Mapping, Sequence
from typing import Any

from apm_exp.report.compare.arms import REPEATED


def baseline_of(settings: Sequence[Mapping[str, Sequence[str]]], wanted: Any) -> int:
    """The number of the baseline arm. settings: of each arm, swept key -> values.

    wanted: null, or one value or a list of values of swept settings; the first arm that has them all. null: the first
    with metric=uniform, else the first. Raises ValueError where no arm has what is wanted.
    """
    if wanted is None:
        return next((n for n, arm in enumerate(settings) if "uniform" in arm.get("metric", ())), 0)
    values = wanted if isinstance(wanted, list) else [wanted]
    for number, arm in enumerate(settings):
        have = [value for given in arm.values() for value in given]
        if all(any(_equal(value, one) for one in have) for value in values):
            return number
    there = sorted({value for arm in settings for given in arm.values() for value in given})
    remedy = f"give a value that is swept: {', '.join(there)}" if there else "nothing but seeds is swept"
    raise ValueError(f"baseline={wanted}: no arm of this sweep has it; {remedy}")


def check_baseline(wanted: Any, swept: Sequence[Mapping[str, str]]) -> None:
    """Raise ValueError where no arm can be the wanted baseline. swept: of each job."""
    arms = [{key: (value,) for key, value in one.items() if key not in REPEATED} for one in swept]
    baseline_of(arms, wanted)


def _equal(wanted: Any, value: str) -> bool:
    try:
        return float(wanted) == float(value)
    except (TypeError, ValueError):
        return str(wanted) == value
