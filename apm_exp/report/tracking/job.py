"""What a W&B run mirrors: one job, with what identifies it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
