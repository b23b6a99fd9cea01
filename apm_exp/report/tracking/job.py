"""The job that a W&B run mirrors, with its identity."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrackedJob:
    """A job as it is described to W&B.

    config: resolved. choices: group -> option. swept: the settings in which it differs from other jobs of its sweep.
    folder: the run's record. group: its sweep's name. records: the folder with the ids of W&B runs. keys: of the steps
    that make its result. history: the policy's metrics.jsonl. trains: whether this job will write that file.
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
