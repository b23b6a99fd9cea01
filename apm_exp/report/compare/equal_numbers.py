"""A check whether an arm had as many pairs and optimizer steps as the baseline arm, over all trainings of a job."""

from collections.abc import Iterable

from apm_exp.core.step_names import of_kind
from apm_exp.report.compare.arms import Arm, Job, steps_of

_NUMBERS = {"pairs kept": ("selection", "kept"), "optimizer steps": ("policy", "optimizer_steps")}


def unequal_numbers(arm: Arm, baseline: Arm) -> str | None:
    """Return `not at equal numbers: ...` with both arms' numbers over their common seeds, or None if they are equal."""
    seeds = arm.by_seed.keys() & baseline.by_seed.keys()
    differing = []
    for words, (kind, count) in _NUMBERS.items():
        own, other = (_numbers((one.by_seed[seed] for seed in seeds), kind, count) for one in (arm, baseline))
        if own != other:
            differing.append(f"{_range(own)} {words} here, {_range(other)} in the baseline")
    return f"not at equal numbers: {'; '.join(differing)}" if differing else None


def _numbers(jobs: Iterable[Job], kind: str, count: str) -> list[int]:
    each = ([step["counts"].get(count) for step in of_kind(steps_of(job), kind).values()] for job in jobs)
    return sorted({sum(map(int, counts)) for counts in each if counts and None not in counts})


def _range(numbers: list[int]) -> str:
    """Return `3,800`, or `3,790 to 3,810` if seeds differ."""
    if not numbers:
        return "an unknown number of"
    return f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"
