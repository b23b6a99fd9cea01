"""The job that a W&B run mirrors, with its identity."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Training:
    """history: the policy's metrics.jsonl. iteration: of several trainings the one that it belongs to, else None."""

    history: Path
    iteration: int | None = None


@dataclass(frozen=True)
class TrackedJob:
    """A job as it is described to W&B.

    config: resolved. choices: group -> option. swept: the settings that it does not share with its sweep. folder: the
    run's record. group: its sweep's name. records: the folder that remembers the ids of W&B runs. keys: of the steps
    that make its result. trainings: in the order in which they are made. trains: whether this job makes the last one.
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
