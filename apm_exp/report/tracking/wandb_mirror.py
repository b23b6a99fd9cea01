"""Mirroring of a run to Weights & Biases; it never prompts and never fails a run."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from pydantic import Field

from apm_exp.report.tracking.claim import Claim, claim, own_runs_only, release
from apm_exp.report.tracking.job import TrackedJob
from apm_exp.report.tracking.mirror import Mirror
from apm_exp.report.tracking.start import start, wanted_mode

logger = logging.getLogger(__name__)


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
    wanted = wanted_mode(mode)
    if wanted != "disabled":
        own_runs_only()
    claimed = None if wanted == "disabled" else _claim(job, wanted, project, entity)
    run = start(job, claimed.run_id, wanted, project, entity, init_timeout) if claimed else None
    mirror = Mirror(run, job, artifact_megabytes if artifacts else 0)
    whole = False
    try:
        yield mirror
        whole = True
    finally:
        mirror.finish(0 if whole else 1)
        if claimed:
            _release(claimed, mirror if whole else None)


def _claim(job: TrackedJob, wanted: str, project: str, entity: str | None) -> Claim | None:
    try:
        return claim(job, wanted, project, entity)
    except OSError as error:
        logger.warning("W&B: %s cannot be written (%s); this run is logged in metrics.jsonl only", job.records, error)
        return None


def _release(claimed: Claim, mirror: Mirror | None) -> None:
    complete = None
    if mirror and mirror.run is not None and not mirror.failed:
        complete = "offline" if mirror.run.offline else "online"
    try:
        release(claimed, complete)
    except OSError as error:
        logger.warning("W&B: %s cannot be written (%s)", claimed.path, error)
