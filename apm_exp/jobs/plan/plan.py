"""What a run would do: its steps, what is reused, and how much there is of everything. Nothing is built."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apm_exp.core import component
from apm_exp.core.console import plain_table, print_line, print_table, wide_screen
from apm_exp.core.step_names import of_kind
from apm_exp.jobs.job import Job
from apm_exp.jobs.ledger import titled
from apm_exp.jobs.plan.disk import Disk, disk_line, job_disk
from apm_exp.jobs.plan.duration import expected_seconds
from apm_exp.jobs.plan.memory.check import step_training, tell
from apm_exp.jobs.plan.memory.device import device_memory
from apm_exp.jobs.plan.memory.estimate import estimate
from apm_exp.jobs.plan.memory.show import memory_table
from apm_exp.jobs.plan.memory.training import Training
from apm_exp.jobs.request import Request
from apm_exp.pipeline.build import wants_rebuild
from apm_exp.pipeline.resolve import is_here
from apm_exp.pipeline.stage_table import STAGES
from apm_exp.pipeline.step import Seen, Step, lineage, read_done
from apm_exp.pipeline.work import Counts, Work


@dataclass(frozen=True)
class Plan:
    """What a job would do.

    known: the counts of each step by name, exact if it is built, else upper bounds. missing: the steps to be built.
    training: what the memory of its largest training is estimated from, if there is one and that can be.
    """

    title: str
    config: Mapping[str, Any]
    steps: Mapping[str, Step]
    known: Mapping[str, Counts]
    missing: Mapping[str, Step]
    training: Training | None
    disk: Disk

    def seconds(self, name: str) -> float | None:
        """Return how long a step may take, None if no earlier run says; a step that is built takes no time."""
        return expected_seconds(self.steps[name], self.known[name]) if name in self.missing else 0.0

    def work(self, name: str) -> Work | None:
        """Return what a step puts through a model, None if it has none or nothing is known."""
        step = self.steps[name]
        return STAGES[step.kind].work(step.inputs, self.known[name])


def plan_of(title: str, steps: Mapping[str, Step], config: Mapping[str, Any]) -> Plan:
    """Look at every step of a job; builds and downloads nothing."""
    known: dict[str, Counts] = {}  # by key
    missing: dict[str, Step] = {}
    seen: Seen = {}
    for name, step in steps.items():
        artifact = read_done(step, seen)
        if artifact is None or any(wants_rebuild(config, each) for each in lineage(step)):
            missing[name] = step
        known[step.key] = artifact.counts if artifact else STAGES[step.kind].bounds(step.inputs, known)
    training = _largest_training(config, missing)
    disk = job_disk(config, missing, known, training)
    return Plan(title, config, steps, {name: known[step.key] for name, step in steps.items()}, missing, training, disk)


def print_plan(plan: Plan) -> None:
    """Print one line a step: reused or to be built, with exact counts where built and upper bounds elsewhere.

    Then the memory of the training, where there is one to be made, and the disk that all will need. Raises a one-line
    ValueError, after printing, where the training cannot fit its device.
    """
    table = plain_table("step", "state", "counts", "expected", "folder")
    for name, step in plan.steps.items():
        sign = "at most " if name in plan.missing else ""
        counts = ", ".join(f"{sign}{key} {value:,}" for key, value in plan.known[name].items())
        state = "build" if name in plan.missing else "reuse"
        table.add_row(name, state, counts or "unknown", time_shown(plan.seconds(name)), str(step.folder))
    print_table(plan.title, table)
    print_memory(plan)
    print_line(disk_line(plan.disk, Path(plan.config["output_root"])))
    if plan.training:
        tell(plan.training)


def print_memory(plan: Plan) -> None:
    """Print the memory of the training that is to be made, where there is one."""
    if plan.training:
        available = device_memory(plan.training.device)
        wide_screen().print(memory_table(plan.training, available, _scoring_budget(plan.config, plan.training)))


def time_shown(seconds: float | None) -> str:
    """An expected time in words."""
    if seconds is None:
        return "unknown"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _scoring_budget(config: Mapping[str, Any], training: Training) -> int:
    """The tokens of one scoring forward."""
    from apm_exp.models.score_pairs import token_budget

    return token_budget(component.bind("runtime", config["runtime"])(), list(map(sum, training.pairs)))


def _largest_training(config: Mapping[str, Any], missing: Mapping[str, Step]) -> Training | None:
    if not is_here("model", config["model"]):
        return None  # a plan downloads nothing
    trainings = [step_training(config, step) for step in of_kind(missing, "policy").values()]
    return max(filter(None, trainings), key=lambda training: estimate(training).total, default=None)


def plan_job(job: Job) -> Plan:
    """Return what the job would do; writes nothing."""
    return plan_of(_title(job.request), job.steps, job.config)


def _title(request: Request) -> str:
    if request.sweep or request.swept:
        return titled(request.number, request.swept)
    return f"plan ({request.config['hyperparameters']})"
