"""The request of the parent process to a worker."""

from dataclasses import dataclass
from typing import Any

TYPED = ("run", "plan", "status", "clean", "export")  # the tasks that a user may name


@dataclass(frozen=True)
class Request:
    """A request of the parent process to a worker. Plain values only: it crosses a process boundary.

    config: resolved. choices: group -> option. overrides: what the user typed. swept: the settings that this job
    does not share with its sweep. sweep: the sweep's folder. command: the line that repeats the job.
    command_id: what all jobs of one command share, and no two commands.
    """

    task: str
    config: dict[str, Any]
    choices: dict[str, str]
    overrides: list[str]
    command: str
    command_id: str
    number: int = 0
    swept: dict[str, str] | None = None
    sweep: str | None = None
