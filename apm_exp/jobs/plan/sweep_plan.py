"""The plan of a sweep: its jobs, the steps that they share, and the total cost. Nothing is built."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.table import Table

from apm_exp.core.console import plain_table, print_line, print_table
from apm_exp.core.step_names import last_of, of_kind
from apm_exp.jobs.plan.cost import cost_lines
from apm_exp.jobs.plan.disk import disk_line, together
from apm_exp.jobs.plan.memory.check import tell
from apm_exp.jobs.plan.memory.estimate import estimate
from apm_exp.jobs.plan.plan import Plan
from apm_exp.jobs.plan.show import flops_shown, print_assumptions, print_memory, time_shown, total_line
from apm_exp.pipeline.step import Step
from apm_exp.pipeline.work import Work
from apm_exp.training.few_steps import at_most, few_steps

logger = logging.getLogger(__name__)


class _Own(NamedTuple):
    """A step, and the plan of the first job that wants it."""

    name: str
    step: Step
    plan: Plan

    @property
    def is_missing(self) -> bool:
        return self.name in self.plan.missing

    @property
    def work(self) -> Work | None:
        return self.plan.work(self.name)


def print_sweep_plan(folder: Path, plans: Sequence[Plan]) -> None:
    """Print a line a job, a line a kind of step with what all jobs together put through a model, memory and disk.

    A step that several jobs want is the first one's. Raises a one-line ValueError, after printing, where a training
    cannot fit its device.
    """
    own = [_own(plan, plans[:index]) for index, plan in enumerate(plans)]
    steps = [one for each in own for one in each]
    shared = sum(len(plan.steps) for plan in plans) - len(steps)
    print_table(f"{folder.name}: {len(plans)} jobs", _jobs(plans, own))
    print_table(f"{len(steps)} steps, each once ({shared} times another job wants one of them)", _stages(steps))
    trainings = [plan for plan in plans if plan.training]
    widest = max(trainings, key=lambda plan: estimate(plan.training).total) if trainings else plans[0]  # type: ignore[arg-type]
    print_line(total_line((one.plan, one.name) for one in steps if one.is_missing))
    for line in cost_lines((one.plan, one.name) for one in steps if one.is_missing):
        print_line(line)
    print_assumptions(widest)
    print_memory(widest)
    root = Path(plans[0].config["output_root"])
    disk = disk_line(together(plan.disk for plan in plans), root)
    print_line(f"all {len(plans)} jobs, what they share counted once: {disk}")
    for line in _few_steps(plans):
        logger.warning("%s", line)
    for plan in trainings:
        tell(plan.training, plan.config)  # type: ignore[arg-type]


def _few_steps(plans: Sequence[Plan]) -> list[str]:
    """Return what is wrong with trainings of few optimizer steps, a line for all jobs of which the same is true."""
    jobs: dict[str, list[int]] = {}
    for number, plan in enumerate(plans):
        counts = [plan.known[step.name] for step in of_kind(plan.missing, "policy").values()]
        for text in dict.fromkeys(filter(None, (few_steps(each, plan.config) for each in counts))):
            jobs.setdefault(at_most(text), []).append(number)
    return [_of_jobs(numbers, len(plans), text) for text, numbers in jobs.items()]


def _of_jobs(numbers: Sequence[int], jobs: int, text: str) -> str:
    if len(numbers) == jobs:
        return f"each job: {text}"
    return f"job{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}: {text}"


def _own(plan: Plan, earlier: Sequence[Plan]) -> list[_Own]:
    """Return the steps of a job that no earlier job has."""
    taken = {step.folder for one in earlier for step in one.steps.values()}
    return [_Own(name, step, plan) for name, step in plan.steps.items() if step.folder not in taken]


def _jobs(plans: Sequence[Plan], own: Sequence[Sequence[_Own]]) -> Table:
    table = plain_table("job", "to be built", "expected")
    for number, (plan, steps) in enumerate(zip(plans, own, strict=True)):
        missing = [one.name for one in steps if one.is_missing]
        same = next((n for n in range(number) if _policy(plan) and _policy(plans[n]) == _policy(plan)), None)
        what = ", ".join(missing) or ("nothing" if same is None else f"nothing: its model is that of job {same}")
        table.add_row(plan.title, what, _time(plan.seconds(name) for name in missing))
    return table


def _policy(plan: Plan) -> Path | None:
    policy = last_of(plan.steps, "policy")
    return policy.folder if policy else None


def _stages(steps: Sequence[_Own]) -> Table:
    """Return how many of each step exist, how many are to be built, and the model work of the latter."""
    table = plain_table("step", "there", "to build", "forwards", "tokens", "computes", "expected")
    missing = [one for one in steps if one.is_missing]
    there = Counter(one.name for one in steps if not one.is_missing)
    for name in dict.fromkeys(one.name for one in steps):
        these = [one for one in missing if one.name == name]
        computes = flops_shown(one.plan.flops(name) for one in these)
        table.add_row(name, str(there[name]), str(len(these)), *_amounts(these), computes, _seconds(these))
    computes = flops_shown(one.plan.flops(one.name) for one in missing)
    table.add_row("all", str(sum(there.values())), str(len(missing)), "", "", computes, _seconds(missing))
    return table


def _amounts(these: Sequence[_Own]) -> tuple[str, str]:
    """Return the forwards and the tokens of steps of one name."""
    works = [work for one in these if (work := one.work) is not None]
    if not works:
        return "", ""
    forwards = "" if all(work.exact for work in works) else "about " if _is_about(these) else "at most "
    tokens = [one.plan.tokens(one.name) for one in these if one.work is not None]
    known = [each for each in tokens if each is not None]
    sign = next((sign for sign in ("about ", "at most ") if any(sign == each[1] for each in known)), "")
    total = f"{sign}{sum(count for count, _ in known):,}" if len(known) == len(tokens) else "unknown"
    return f"{forwards}{sum(work.forwards for work in works):,}", total


def _is_about(these: Sequence[_Own]) -> bool:
    return any(one.plan.about for one in these)


def _seconds(these: Sequence[_Own]) -> str:
    return _time(one.plan.seconds(one.name) for one in these)


def _time(seconds: Iterable[float | None]) -> str:
    """Return the total time in words, with a "+" if the time of some steps is unknown."""
    each = list(seconds)
    known = [one for one in each if one is not None]
    if None not in each:
        return time_shown(sum(known))
    return f"{time_shown(sum(known))} + unknown" if any(known) else "unknown"
