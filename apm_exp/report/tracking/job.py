"""The job that a W&B run mirrors, with its identity."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Training:
    """One training of a job. history: the policy's metrics.jsonl. iteration: its number; None if the job has one."""

    history: Path
    iteration: int | None = None


@dataclass(frozen=True)
class TrackedJob:
    """A job as it is described to W&B.

    config: resolved. choices: group -> option. swept: the settings in which it differs from other jobs of its sweep.
    folder: the run's record. group: its sweep's name. records: the folder with the ids of W&B runs. keys: of the steps
    that make its result. trainings: in their order. trains: whether this job will make the last of them.
    """

    config: Mapping[str, Any]
    choices: Mapping[str, str]
    swept: Mapping[str, str]
    command: str
    folder: Path
    group: str | None
    records: Path
    keys: tuple[str, ...]
    trainings: tuple[Training, ...]
    trains: bool
