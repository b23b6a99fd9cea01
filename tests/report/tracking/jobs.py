"""A job to mirror, in a folder of a test."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from apm_exp.report.tracking.job import TrackedJob, Training
from apm_exp.report.tracking.mirror import Mirror
from apm_exp.report.tracking.wandb_mirror import wandb_mirror

CONFIG: dict[str, Any] = {
    "alpha": 2.5,
    "seed": 0,
    "metric": {"_target_": "apm_exp.selection.metrics.map.alignment_potential", "alpha": 2.5},
    "loss": {"_target_": "apm_exp.training.losses.simpo.simpo", "beta": 10.0, "gamma_beta_ratio": 0.5},
    "trainer": {"learning_rate": 1e-6},
    "model": {"path": "/home/me/models/sft"},
}
CHOICES = {"metric": "map", "loss": "simpo", "trainer": "pairs", "model": "local", "runtime": "cpu"}
NODE: dict[str, Any] = {"project": "apm_exp", "entity": None, "init_timeout": 5.0, "artifact_megabytes": 100.0}
SCORE = {"value": 0.68, "standard_error": 0.02, "n": 40, "interval": [0.64, 0.72], "unit": "share"}


def job_in(folder: Path, attempt: str = "run-1", **changes: Any) -> TrackedJob:
    """A job that trains, of a sweep; its run's record is folder/<attempt>."""
    job = TrackedJob(
        config=CONFIG,
        choices=CHOICES,
        swept={"loss.beta": "10", "alpha": "2.5"},
        command="python -m apm_exp -m model.path=/home/me/models/sft alpha=2.5,5",
        folder=folder / attempt,
        group="alpha-0123",
        records=folder / ".tracking",
        keys=("policy key", "evaluation key"),
        trainings=(Training(folder / "metrics.jsonl"),),
        trains=True,
    )
    return replace(job, **changes)


def mirror(
    job: TrackedJob, mode: str = "offline", *, artifacts: bool = False, **changes: Any
) -> AbstractContextManager[Mirror]:
    return wandb_mirror(job, mode=mode, artifacts=artifacts, **NODE | changes)  # type: ignore[arg-type]


def write_history(job: TrackedJob, *steps: int) -> list[Mapping[str, float]]:
    """metrics.jsonl with these steps; the loss of a step is one over it."""
    rows = [{"step": step, "loss": 1 / step} for step in steps]
    job.trainings[0].history.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows
