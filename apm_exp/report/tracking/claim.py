"""The assignment of W&B runs to jobs, so that a retried job continues the W&B run that it started.

`<output_root>/.tracking/<key>.json` has the id, which is chosen and written before W&B is started. The id has a random
part, so that the same job in another output folder does not write to this run.
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
from apm_exp.report.tracking.sweep_run import TrackedSweep

logger = logging.getLogger(__name__)
_THEIRS = (  # variables that override the run or the settings that a job passes to W&B
    *("WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_LAUNCH", "WANDB_LAUNCH_CONFIG_PATH", "WANDB_CONFIG"),
    *("WANDB_RUN_ID", "WANDB_RESUME", "WANDB_RESUME_FROM", "WANDB_FORK_FROM"),
    *("WANDB_PROJECT", "WANDB_NAME", "WANDB_TAGS", "WANDB_JOB_TYPE"),
)


@dataclass(frozen=True)
class Claim:
    """The right to log a job: the id of its W&B run, the file that records it, and a lock against other processes."""

    run_id: str
    path: Path
    lock: FileLock


def own_runs_only() -> None:
    """Remove variables that name another W&B run, such as those of a W&B agent, from the environment, with a warning.

    If WANDB_SWEEP_ID is set, W&B ignores the id that a program passes: the jobs of a sweep would overwrite each other.
    """
    if names := [name for name in _THEIRS if os.environ.pop(name, None) is not None]:
        logger.warning(
            "%s: ignored; each job has its own W&B run in tracking.project and tracking.entity", ", ".join(names)
        )


def claim(job: TrackedJob, mode: str, project: str, entity: str | None) -> Claim | None:
    """Return the W&B run for `job`, or None if it is complete or if another process is writing it.

    A job that trains again what was logged before (`rebuild=`, a cleaned policy) gets a new run; one that resumes from
    a checkpoint keeps its run. A run that was completed offline is logged again under its id when W&B is online.
    """
    identity = [job.group, project, entity, *job.keys]
    return _claim(job.records, identity, job.folder, mode, trains=job.trains)


def claim_sweep(sweep: TrackedSweep, mode: str, project: str, entity: str | None) -> Claim | None:
    """Return the W&B run for a sweep, always the same one, or None if the content is already logged."""
    identity = [sweep.folder.name, project, entity]
    return _claim(sweep.records, identity, sweep.folder, mode, content=sweep.content)


def _claim(
    records: Path, identity: list[str | None], folder: Path, mode: str, *, trains: bool = False, content: str = ""
) -> Claim | None:
    key = text_digest(canonical(identity))
    path = records / f"{key[:16]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    known = _read(path)
    complete = known.get("complete") if known.get("content", "") == content else None
    if complete and not trains and (complete == "online" or mode == "offline" or not has_login()):
        lock.release()
        return None
    run_id = f"{key[:8]}-{secrets.token_hex(3)}" if not known or (complete and trains) else known["id"]
    write_sealed({"id": run_id, "complete": None, "folder": folder.name, "content": content}, path)
    return Claim(run_id, path, lock)


def release(claimed: Claim, complete: str | None) -> None:
    """Release the run. complete: the mode in which the whole job was logged, or None if it was not."""
    if complete:
        write_sealed(_read(claimed.path) | {"complete": complete}, claimed.path)
    claimed.lock.release()


def _read(path: Path) -> dict[str, Any]:
    """Return the record of a W&B run, or an empty one if it is missing or damaged; the job then gets a new run."""
    try:
        return read_sealed(path, "id", "complete")
    except FileNotFoundError:
        return {}
    except Damaged as error:
        logger.warning("W&B: %s; the job gets a new run", error)
        return {}
