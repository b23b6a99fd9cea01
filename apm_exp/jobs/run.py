"""One job: build the steps in order, keep a record of the run, and say how it ended."""

import logging
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.core.errors import Stopped, one_line
from apm_exp.core.step_names import last_of, of_kind
from apm_exp.jobs.foresee import foresee
from apm_exp.jobs.inverted import is_mixed, refuse_inverted
from apm_exp.jobs.job import Job, refuse_bad_rows
from apm_exp.jobs.ledger import job_with, titled, worked_on
from apm_exp.jobs.outcome import in_words, result_of, selections, together, verdict_of
from apm_exp.jobs.plan.memory.check import check_before_training
from apm_exp.jobs.record import (
    nothing_held_out,
    nothing_known,
    say_result,
    settings_compared,
    tracked_job,
)
from apm_exp.jobs.report_step import draw_page
from apm_exp.jobs.reuse import reused, reused_line, trains
from apm_exp.jobs.run_record import RunRecord, say_of_an_earlier_version
from apm_exp.pipeline.build import artifacts, build, wants_rebuild
from apm_exp.pipeline.nodes import has_policy
from apm_exp.pipeline.step import read_done
from apm_exp.report.tracking.mirror import Mirror
from apm_exp.training.few_steps import say_few_steps

logger = logging.getLogger(__name__)


def run_job(job: Job) -> None:
    """Build the missing steps, write the report, and write the record of the run, also if it fails.

    A job of a sweep that another command works on is waited for, and done only if that command did not.
    """
    request = job.request
    if not request.sweep:
        _recorded(job)
        return
    logger.info("%s", titled(request.number, request.swept))
    with worked_on(Path(request.sweep), request.number) as wanted:
        if wanted:
            _recorded(job)
        else:
            logger.info("job %d: done by another command meanwhile", request.number)


def _recorded(job: Job) -> None:
    """Do the job, with a record that says how it and each of its steps stand from its beginning."""
    say_of_an_earlier_version(Path(job.config["output_root"]))
    record = RunRecord(job.request, job.steps)
    if has_policy(job.config):
        logger.info("settings     %s", job.config["hyperparameters"])
    _say_whose_model(job)
    for step in of_kind(job.steps, "policy").values():
        if read_done(step) is None:
            say_few_steps(step.key, record.known[step.key], job.config, exact=False)
    started = time.monotonic()
    try:
        result = _run_steps(job, record) | {"state": "done", "reason": None}
    except BaseException as error:
        state = "interrupted" if isinstance(error, KeyboardInterrupt | Stopped) else "failed"
        result = {"state": state, "reason": one_line(error)}
        record.stop(state)
        raise
    finally:
        job.digests.save()
        record.end(result | {"seconds": round(time.monotonic() - started, 1)})
    say_result(record.content, record.folder.name, job.config["output_root"], in_sweep=bool(job.request.sweep))


def _say_whose_model(job: Job) -> None:
    """Say so if an earlier job of the sweep trained the same: what differs between them is not used in training."""
    sweep, policy = job.request.sweep, job.policy
    same = job_with(Path(sweep), policy.key) if sweep and policy else None
    if same is not None:
        number = job.request.number
        logger.info("job %d: its model is that of job %d: training uses nothing that differs", number, same)


def _run_steps(job: Job, record: RunRecord) -> dict[str, Any]:
    """Build the steps and the page; return the rest of the job's record."""
    built: dict[str, Artifact] = {}
    training = job.policy is not None and trains(job, job.policy)
    if there := reused(job):
        logger.info("%s", reused_line(there, record.folder))
    with _mirror(job, record.folder, training) as mirror:
        for name in job.steps:
            built[name] = _build(job, record, name, mirror, built)
            if built[name].reused and name not in there:
                logger.info("%-12s reused    %s", name, built[name].path)
        made = selections(job, built)
        counts = together([each.counts for each in made])
        result: dict[str, Any] = {"headline": in_words(job, built)}
        result["verdict"] = verdict_of(job, built) if made else None
        again = [name for name, artifact in built.items() if artifact.reused]
        page = draw_page(job.request, job.steps, record.folder, again) if made else None
        if page is not None:
            record.made("report", page)
        if (page := page or last_of(built, "reward_page")) is not None:
            result["report"] = str(page.path / "report.html")
        if job.policy is not None:
            result |= result_of(job, built) | {"trained": training}
        elif job.evaluations:
            result |= result_of(job, built)
        if made:
            mirror.rest_of_history()
            mirror.summary(result.get("scores", {}), counts)
            mirror.send([each.path for each in made], page.path if page else None)
    alpha = counts.get("alpha", job.config["metric"].get("alpha"))
    known = nothing_known() | settings_compared(job.config, alpha) | result
    return known | {"kept": counts.get("kept")}


def _build(job: Job, record: RunRecord, name: str, mirror: Mirror, built: Mapping[str, Artifact]) -> Artifact:
    """Build one step, then let the stages of later steps look for errors that can now be foreseen."""
    step, also = job.steps[name], {}
    if step.kind == "policy" and read_done(step) is None:
        with artifacts(*(each for part in step.inputs["parts"] for each in part.values())):
            check_before_training(job.config, step)
    if step.kind == "policy":  # the training step also mirrors its log
        also = {"log": mirror.log_of([*of_kind(job.steps, "policy").values()].index(step))}
    record.begin(name)
    if step.kind == "policy" and read_done(step) is None:
        say_few_steps(step.key, record.known[step.key], job.config, exact=True)
    artifact = build(step, rebuild=wants_rebuild(job.config, step), command=job.request.command_id, also=also)
    with artifacts(step) as given:  # another command may build it again before this one ends
        artifact = given[step.key] if artifact.reused else artifact
        refuse_bad_rows(job.config, artifact)
        if not is_mixed(step, job.steps):
            refuse_inverted(job.config, artifact)
        _say_what_is_ranked(job, artifact)
        foresee(job.steps, {each.key: each for each in [*built.values(), artifact]}, step)
    record.made(name, artifact)
    return artifact


def _say_what_is_ranked(job: Job, made: Artifact) -> None:
    """Say which pairs a job that only selects ranks, if a training would rank fewer."""
    selects = made.kind == "pairs" and job.config["until"] == "selection"
    if selects and (said := nothing_held_out(job.config["dataset"], int(made.counts["pairs"]))):
        logger.info(said)


def _mirror(job: Job, folder: Path, trains: bool) -> AbstractContextManager[Mirror]:
    """Return the tracker of the job, or one that does nothing if tracking is off."""
    if not job.config["tracking"] or last_of(job.steps, "selection") is None:
        return nullcontext(Mirror())
    return component.bind("tracking", job.config["tracking"])(
        tracked_job(job.request, job.steps, folder, trains=trains)
    )
