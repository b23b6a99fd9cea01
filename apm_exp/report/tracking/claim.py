"""Which W&B run a job's record goes to, so that a job that is tried again continues the run that it began.

`<output_root>/.tracking/<key>.json` has the id, chosen and written before W&B hears of it. The id has a random part:
another outputs folder with the same job must not write into this one's run.
"""

import logging
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from apm_exp.core.digest import canonical, text_digest
from apm_exp.core.sealed import Damaged, read_sealed, write_sealed
from apm_exp.report.tracking.job import TrackedJob
from apm_exp.report.tracking.start import has_login

logger = logging.getLogger(__name__)
_THEIRS = (  # what W&B takes instead of, or says otherwise than, the run that a job asks for
    *("WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_LAUNCH", "WANDB_LAUNCH_CONFIG_PATH", "WANDB_CONFIG"),
    *("WANDB_RUN_ID", "WANDB_RESUME", "WANDB_RESUME_FROM", "WANDB_FORK_FROM"),
    *("WANDB_PROJECT", "WANDB_NAME", "WANDB_TAGS", "WANDB_JOB_TYPE"),
)


@dataclass(frozen=True)
class Claim:
    """The right to log a job: the id of its W&B run, where that is remembered, and the lock that keeps others off."""

    run_id: str
    path: Path
    lock: FileLock


def own_runs_only() -> None:
    """Remove from the environment what names another W&B run, as an agent's for all that it starts; a warning says so.

    Under WANDB_SWEEP_ID W&B ignores the id that a program gives: the jobs of a sweep would overwrite each other.
    """
    if names := [name for name in _THEIRS if os.environ.pop(name, None) is not None]:
        logger.warning(
            "%s: ignored; each job has a W&B run of its own, in tracking.project and tracking.entity", ", ".join(names)
        )


def claim(job: TrackedJob, mode: str, project: str, entity: str | None) -> Claim | None:
    """The W&B run that `job` is to write; None where it is complete, or another process is writing it.

    A job that trains what was logged before (`rebuild=`, a cleaned policy) gets a new run, one that goes on from a
    checkpoint the one it had. What was complete offline is logged again, under its id, when it can be online.
    """
    key = text_digest(canonical([job.group, project, entity, *job.keys]))
    path = job.records / f"{key[:16]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    known = _read(path)
    complete = known.get("complete")
    if complete and not job.trains and (complete == "online" or mode == "offline" or not has_login()):
        lock.release()
        return None
    run_id = f"{key[:8]}-{secrets.token_hex(3)}" if not known or (complete and job.trains) else known["id"]
    write_sealed({"id": run_id, "complete": None, "folder": job.folder.name}, path)
    return Claim(run_id, path, lock)


def release(claimed: Claim, complete: str | None) -> None:
    """Let others have the run. complete: the mode in which all of the job was logged, None where it was not."""
    if complete:
        write_sealed(_read(claimed.path) | {"complete": complete}, claimed.path)
    claimed.lock.release()


def _read(path: Path) -> dict[str, Any]:
    """The record of a W&B run; none where it is damaged, and the job gets a new run."""
    try:
        return read_sealed(path, "id", "complete")
    except FileNotFoundError:
        return {}
    except Damaged as error:
        logger.warning("W&B: %s; the job gets a new run", error)
        return {}
