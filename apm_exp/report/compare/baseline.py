"""The choice of the arm with which the others are compared."""

from collections.abc import Mapping, Sequence
from typing import Any

from apm_exp.report.compare.arms import REPEATED


def baseline_of(settings: Sequence[Mapping[str, Sequence[str]]], wanted: Any) -> int:
    """Return the number of the baseline arm. settings: for each arm, swept key -> values.

    wanted: null, or one value or a list of values of swept settings: the first arm that has all of them. null: the
    first arm with metric=uniform, else the first. Raises ValueError if no arm matches.
    """
    if wanted is None:
        return next((n for n, arm in enumerate(settings) if "uniform" in arm.get("metric", ())), 0)
    values = wanted if isinstance(wanted, list) else [wanted]
    for number, arm in enumerate(settings):
        have = [value for values_of_key in arm.values() for value in values_of_key]
        if all(any(_equal(value, other) for other in have) for value in values):
            return number
    swept = sorted({value for arm in settings for values_of_key in arm.values() for value in values_of_key})
    remedy = f"give a value that is swept: {', '.join(swept)}" if swept else "only seeds are swept"
    raise ValueError(f"baseline={wanted}: no arm of this sweep has it; {remedy}")


def check_baseline(wanted: Any, swept: Sequence[Mapping[str, str]]) -> None:
    """Raise ValueError if no arm matches the wanted baseline. swept: for each job."""
    arms = [{key: (value,) for key, value in job.items() if key not in REPEATED} for job in swept]
    baseline_of(arms, wanted)


def _equal(wanted: Any, value: str) -> bool:
    try:
        return float(wanted) == float(value)
    except (TypeError, ValueError):
        return str(wanted) == value
