"""What a W&B run mirrors: one job, with what identifies it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apm_exp.artifact import Step
from apm_exp.provenance import provenance
from apm_exp.worker import Request


@dataclass(frozen=True)
class TrackedJob:
    """A job as W&B is told of it.

    config: resolved. choices: group -> option. swept: the settings that it does not share with its sweep. folder: the
    run's record. group: its sweep's name. records: the folder that remembers the ids of W&B runs. keys: of the steps
    that make its result. history: the policy's metrics.jsonl. trains: whether this job is to write that file.
    """

    config: Mapping[str, Any]
    choices: Mapping[str, str]
    swept: Mapping[str, str]
    command: str
    folder: Path
    group: str | None
    records: Path
    keys: tuple[str, ...]
    history: Path
    trains: bool


def tracked_job(request: Request, steps: Mapping[str, Step], folder: Path, *, trains: bool) -> TrackedJob:
    """The job of a request: the same policy and evaluations in the same sweep (or in none) are the same job."""
    known = {name: provenance()[name] for name in ("commit", "versions", "hardware")}
    return TrackedJob(
        config=request.config | {"provenance": known},
        choices=request.choices,
        swept=request.swept or {},
        command=request.command,
        folder=folder,
        group=Path(request.sweep).name if request.sweep else None,
        records=Path(request.config["output_root"]) / ".tracking",
        keys=tuple(step.key for name, step in steps.items() if name == "policy" or name.startswith("evaluation_")),
        history=steps["policy"].folder / "metrics.jsonl",
        trains=trains,
    )
