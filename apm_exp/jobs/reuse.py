"""The steps of a job that exist already."""

from collections import Counter
from pathlib import Path

from apm_exp.core.step_names import kind_of
from apm_exp.jobs.job import Job
from apm_exp.pipeline.build import wants_rebuild, will_rebuild
from apm_exp.pipeline.step import Seen, Step, lineage, read_done

_MOST_NAMES = 20


def reused(job: Job) -> list[str]:
    """Return the names of the steps that this job finds and will not build again."""
    seen: Seen = {}
    return [
        name for name, step in job.steps.items() if read_done(step, seen) is not None and not _built_again(job, step)
    ]


def trains(job: Job, policy: Step) -> bool:
    """Return whether this job is to train: the policy is not there, or it or what it follows from is built again."""
    return read_done(policy) is None or _built_again(job, policy)


def reused_line(names: list[str], folder: Path) -> str:
    """Return the steps that are reused in one line; the kinds of many, whose names are in the run's folder."""
    plural = "" if len(names) == 1 else "s"
    if len(names) <= _MOST_NAMES:
        return f"{len(names)} step{plural} reused: {', '.join(names)}"
    kinds = Counter(map(kind_of, names))
    counted = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    return f"{len(names)} steps reused: {counted} (linked from {folder})"


def _built_again(job: Job, step: Step) -> bool:
    command = job.request.command_id
    return any(wants_rebuild(job.config, each) and will_rebuild(each, command) for each in lineage(step))
