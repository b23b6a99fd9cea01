"""Mirroring of a run to Weights & Biases; it never prompts and never fails a run."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from pydantic import Field

from apm_exp.report.tracking.claim import Claim, claim, claim_sweep, own_runs_only, release
from apm_exp.report.tracking.job import TrackedJob
from apm_exp.report.tracking.mirror import Mirror
from apm_exp.report.tracking.start import job_options, start, wanted_mode
from apm_exp.report.tracking.sweep_run import TrackedSweep, sweep_options

logger = logging.getLogger(__name__)
Take = Callable[[str, str, str | None], Claim | None]


@contextmanager
def wandb_mirror(
    job: TrackedJob,
    *,
    mode: Literal["offline", "online"],
    project: Annotated[str, Field(min_length=1)],
    entity: str | None,
    init_timeout: Annotated[float, Field(gt=0)],
    artifacts: bool,
    artifact_megabytes: Annotated[float, Field(gt=0)],
) -> Iterator[Mirror]:
    """Yield the mirror of a job, and end its W&B run with exit code 0, or 1 if the job was stopped by an exception.

    WANDB_MODE takes precedence over `mode`. For a job that is completely logged already, the mirror does nothing.
    artifacts: whether to send the selection, a sample of its pairs and the report; artifact_megabytes: the size limit
    of each.
    """
    mirror = Mirror(None, job, artifact_megabytes if artifacts else 0)
    options = job_options(job) | {"project": project, "entity": entity}
    with _started(mirror, lambda *where: claim(job, *where), options, mode, init_timeout):
        yield mirror


def log_sweep(
    sweep: TrackedSweep, *, mode: Literal["offline", "online"], project: str, entity: str | None, init_timeout: float
) -> None:
    """Log the verdict on a sweep, its arms and their differences as a short run of its own in the group of its jobs.

    The sweep keeps its run: a verdict that has changed since, as more jobs are done, replaces the earlier one.
    """
    mirror = Mirror()
    options = sweep_options(sweep) | {"project": project, "entity": entity}
    with _started(mirror, lambda *where: claim_sweep(sweep, *where), options, mode, init_timeout):
        mirror.verdict(sweep)


@contextmanager
def _started(mirror: Mirror, take: Take, options: dict[str, Any], mode: str, timeout: float) -> Iterator[None]:
    """Give the mirror a W&B run inside the block, unless it is off, complete, or cannot be started.

    take: claims a run for a mode, a project and an entity.
    """
    wanted = wanted_mode(mode)
    if wanted != "disabled":
        own_runs_only()
    claimed = None if wanted == "disabled" else _claimed(take, wanted, options)
    mirror.run = start(options | {"id": claimed.run_id}, wanted, timeout) if claimed else None
    whole = False
    try:
        yield
        whole = True
    finally:
        mirror.finish(0 if whole else 1)
        if claimed:
            _release(claimed, mirror if whole else None)


def _claimed(take: Take, wanted: str, options: dict[str, Any]) -> Claim | None:
    try:
        return take(wanted, options["project"], options["entity"])
    except OSError as error:
        logger.warning("W&B: %s cannot be written (%s); nothing is logged to it", error.filename, error)
        return None


def _release(claimed: Claim, mirror: Mirror | None) -> None:
    complete = None
    if mirror and mirror.run is not None and not mirror.failed:
        complete = "offline" if mirror.run.offline else "online"
    try:
        release(claimed, complete)
    except OSError as error:
        logger.warning("W&B: %s cannot be written (%s)", claimed.path, error)
