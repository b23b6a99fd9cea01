"""What a run would do: its steps, what is reused, and how much there is of everything. Nothing is built."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from apm_exp.core import component
from apm_exp.core.console import plain_table, print_line, print_table, wide_screen
from apm_exp.data.sources.count import count_rows
from apm_exp.jobs.ledger import named
from apm_exp.jobs.plan.disk import Disk, disk_line, job_disk
from apm_exp.jobs.plan.duration import expected_seconds
from apm_exp.jobs.plan.memory.check import job_training, tell
from apm_exp.jobs.plan.memory.device import device_memory
from apm_exp.jobs.plan.memory.show import memory_table
from apm_exp.jobs.plan.memory.training import Training
from apm_exp.jobs.request import Request
from apm_exp.jobs.steps import digests_of, steps_of
from apm_exp.models.pretrained import is_here
from apm_exp.pipeline.step import Seen, Step, lineage, read_done

Counts = Mapping[str, int | float]


@dataclass(frozen=True)
class Plan:
    """What a job would do. known: the counts of each step, exact where it is built, else upper bounds. missing: the
    steps to be built. training: what its memory is estimated from, where there is a training and that can be.
    """

    title: str
    config: Mapping[str, Any]
    steps: Mapping[str, Step]
    known: Mapping[str, Counts]
    missing: Mapping[str, Step]
    training: Training | None
    disk: Disk

    def seconds(self, name: str) -> float | None:
        """How long a step may take, or None where no earlier run says; a step that is built takes none."""
        return expected_seconds(self.steps[name], self.known[name]) if name in self.missing else 0.0


def plan_of(title: str, steps: Mapping[str, Step], config: Mapping[str, Any]) -> Plan:
    """Look at every step of a job; builds and downloads nothing."""
    known: dict[str, Counts] = {}
    missing: dict[str, Step] = {}
    seen: Seen = {}
    for name, step in steps.items():
        artifact = read_done(step, seen)
        if artifact is None or any(config["rebuild"] in ("all", one.kind) for one in lineage(step)):
            missing[name] = step
        known[name] = artifact.counts if artifact else upper_bounds(name, known, config)
    training = _training(config, steps) if "policy" in missing else None
    disk = job_disk(config, missing, training, known.get("policy", {}).get("steps"))
    return Plan(title, config, steps, known, missing, training, disk)


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


def _training(config: Mapping[str, Any], steps: Mapping[str, Step]) -> Training | None:
    if not is_here(config["model"]):
        return None  # a plan downloads nothing
    return job_training(config, steps)


def upper_bounds(name: str, known: Mapping[str, Counts], config: Mapping[str, Any]) -> Counts:
    """Upper bounds of a step's counts from the counts of the steps before it and the settings."""
    if name == "generations":
        rows = count_rows(config["dataset"])
        return {} if rows is None else {"rows": rows, "responses": rows * config["generate"]["samples"]}
    if name == "pairs":
        return _pairs(known, config)
    pairs = known.get("pairs", {})
    if name in ("rewards", "logps"):
        return {key: pairs[key] for key in ("pairs",) if key in pairs}
    train = pairs.get("train", pairs.get("pairs"))
    if name == "selection" and train is not None:
        return {"pairs": train, "kept": _kept(config["keep"], int(train))}
    if name == "policy" and "kept" in known.get("selection", {}):
        return _steps(int(known["selection"]["kept"]), config["trainer"])
    return {}


def _pairs(known: Mapping[str, Counts], config: Mapping[str, Any]) -> Counts:
    generated = known.get("generations", {})
    rows = generated.get("pairs", generated.get("rows", count_rows(config["dataset"])))
    return {} if rows is None else {"pairs": rows}


def _kept(keep: Mapping[str, Any], pairs: int) -> int:
    if "fraction" in keep:
        from apm_exp.selection.keep.top_fraction import kept_count

        return kept_count(keep["fraction"], pairs)
    if keep["_target_"] == "apm_exp.selection.keep.ids.ids":
        from apm_exp.selection.keep import ids

        return min(pairs, ids.kept_count(keep["path"]))
    return min(pairs, keep.get("k", pairs))


def _steps(kept: int, trainer: Mapping[str, Any]) -> Counts:
    steps = ceil(kept / trainer["global_batch"]) * trainer["epochs"]
    return {"pairs": kept, "steps": ceil(steps)}


def plan_job(request: Request, with_rewards: bool | None) -> "Plan":
    """What the job would do; writes nothing."""

    steps = steps_of(request, digests_of(request), with_rewards=with_rewards is not False)
    return plan_of(_title(request), steps, request.config)


def _title(request: Request) -> str:
    if request.sweep or request.swept:
        return f"job {request.number}: {named(request.swept)}"
    return f"plan ({request.config['hyperparameters']})"
