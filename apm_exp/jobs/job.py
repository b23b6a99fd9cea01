"""A job: what was asked, and the steps that it has; made once, after the settings were checked, and handed down."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apm_exp.core.artifact import Artifact
from apm_exp.core.digest import FileDigests, local_paths
from apm_exp.core.step_names import evaluations_of, last_of
from apm_exp.jobs.foresee import check_bounds, foresee
from apm_exp.jobs.inverted import is_mixed, refuse_inverted
from apm_exp.jobs.report_step import report_step
from apm_exp.jobs.request import Request
from apm_exp.pipeline.choices import Choices
from apm_exp.pipeline.resolve import is_here
from apm_exp.pipeline.stage_table import STAGES
from apm_exp.pipeline.step import Seen, Step, read_done
from apm_exp.pipeline.unroll import unroll


@dataclass(frozen=True, eq=False)
class Job:
    """steps: by name, in the order in which they are built, the page not among them. digests: of the files read."""

    request: Request
    steps: Mapping[str, Step]
    digests: FileDigests

    @property
    def config(self) -> Mapping[str, Any]:
        """Return the resolved configuration."""
        return self.request.config

    @property
    def policy(self) -> Step | None:
        """Return the step of the last training; None if the job stops before any."""
        return last_of(self.steps, "policy")

    @property
    def evaluations(self) -> dict[str, Step]:
        """Return the steps of the evaluations by the names of their nodes."""
        return evaluations_of(self.steps)


def job_of(request: Request) -> Job:
    """Return the job of a request. Raises ValueError for what its recipe, or a step's own `foresee`, refuses."""
    digests = FileDigests(Path(request.config["output_root"]) / ".digests.json")
    names = {name: request.choices[name] for name in Choices.__dataclass_fields__}
    steps = unroll(request.config, Choices(**names), digests)
    foresee(steps, {})
    check_bounds(steps)
    return Job(request, steps, digests)


def known_job(request: Request) -> Job | None:
    """Return the job of a request if that takes neither a model's weights nor the Hub; None else."""
    config, digests = request.config, FileDigests(Path(request.config["output_root"]) / ".digests.json")
    paths = [path for group in ("dataset", "model", "reward") for path in local_paths(config[group].get("path"))]
    here = is_here("model", config["model"]) and is_here("reward", config["reward"])
    return job_of(request) if here and all(map(digests.knows, paths)) else None


def is_finished(job: Job) -> bool:
    """Return whether every step of a job and its page are finished, so that nothing would be computed.

    Nothing is changed on disk. False too if a file cannot be read; the checks or the step then raise the error.
    """
    if job.config["rebuild"] != "none":
        return False
    try:
        seen: Seen = {}
        for step in job.steps.values():
            if artifact := read_done(step, seen):
                refuse_bad_rows(job.config, artifact)
                if not is_mixed(step, job.steps):
                    refuse_inverted(job.config, artifact)
        page = (
            [report_step(job.config, job.steps, command="", provenance={}, metric_option="")]
            if last_of(job.steps, "selection")
            else []
        )
        return all(read_done(step, seen) for step in [*job.steps.values(), *page])
    except (OSError, ValueError):
        return False


def refuse_bad_rows(config: Mapping[str, Any], artifact: Artifact) -> None:
    """Raise ValueError for dataset.on_bad_row=error and an artifact of a run that has left bad rows out."""
    name = STAGES[artifact.kind].bad_rows
    if name is None or config["dataset"]["on_bad_row"] != "error":
        return
    if bad := artifact.counts.get("bad_rows", artifact.counts[name]):
        problem = f"{bad:,} bad rows were left out of {artifact.path} (all are listed in its refused.jsonl)"
        raise ValueError(f"dataset.on_bad_row=error: {problem}; correct them or use dataset.on_bad_row=refuse")
