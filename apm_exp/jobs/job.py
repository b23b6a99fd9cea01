"""One job: build the steps in order, keep a record of the run, and say how it ended."""

import json
import logging
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.core.errors import one_line
from apm_exp.core.pair_ids import PairIds
from apm_exp.jobs.checks.rewards import check_loss_takes, refuse_missing_rewards
from apm_exp.jobs.ledger import job_with, named, worked_on
from apm_exp.jobs.plan.memory.check import check_before_training
from apm_exp.jobs.record import (
    begin_run,
    beginning,
    headline,
    keep_result,
    nothing_held_out,
    nothing_known,
    point,
    run_folder,
    settings_compared,
    step_records,
    tracked_job,
    untrained,
    what_next,
)
from apm_exp.jobs.report_step import draw_page
from apm_exp.jobs.request import Request
from apm_exp.jobs.steps import digests_of, has_rewards, refuse_bad_rows, steps_of
from apm_exp.pipeline.build import artifacts, build, wants_rebuild, will_rebuild
from apm_exp.pipeline.step import Step, lineage, read_done
from apm_exp.report.tracking.mirror import Mirror
from apm_exp.selection.keep.preflight import check_keep

if TYPE_CHECKING:
    pass

logger = logging.getLogger(__name__)


def run_job(request: Request, with_rewards: bool | None) -> None:
    """Build what is missing, report, and leave the record of the run, also of one that fails.

    A job of a sweep that another command works on is waited for, and done only if that command did not.
    """
    if not request.sweep:
        _recorded(request, with_rewards)
        return
    logger.info("job %d: %s", request.number, named(request.swept))
    with worked_on(Path(request.sweep), request.number) as wanted:
        if wanted:
            _recorded(request, with_rewards)
        else:
            logger.info("job %d: done by another command meanwhile", request.number)


def _recorded(request: Request, with_rewards: bool | None) -> None:
    """Do the job, with a record that says how it stands from its beginning."""
    digests = digests_of(request)
    steps = steps_of(request, digests, with_rewards=with_rewards is not False)
    folder = run_folder(request, steps.get("policy", steps["logps"]).slug)
    record = beginning(request, folder, steps)
    begin_run(request, record, folder)
    logger.info("settings     %s", request.config["hyperparameters"])
    _say_whose_model(request, steps)
    made: dict[str, Artifact] = {}
    started = time.monotonic()
    try:
        _link(steps, folder)
        if with_rewards is None:
            made["pairs"] = build(steps["pairs"], command=request.command_id)
            if not _rows_have_rewards(request, steps["pairs"]):
                steps = steps_of(request, digests, with_rewards=False)
                (folder / "rewards").unlink(missing_ok=True)  # no step of this run after all
                _link(steps, folder)
        record |= _run_steps(request, steps, folder, made) | {"state": "done", "reason": None}
    except BaseException as error:
        record |= {"state": "failed", "reason": one_line(error)}
        raise
    finally:
        digests.save()
        record["seconds"] = round(time.monotonic() - started, 1)
        keep_result(request, record, folder)
    logger.info("%s%s", record["headline"], what_next(record, folder.name, request.config["output_root"]))


def _say_whose_model(request: Request, steps: Mapping[str, Step]) -> None:
    """Say so where an earlier job of the sweep trained the same: what differs between them is not used in training."""
    same = job_with(Path(request.sweep), steps["policy"].key) if request.sweep and "policy" in steps else None
    if same is not None:
        logger.info("job %d: its model is that of job %d: training uses nothing that differs", request.number, same)


def _link(steps: Mapping[str, Step], folder: Path) -> None:
    """Link a run to its steps, before they are there: task=clean takes nothing that a run links to."""
    for name, step in steps.items():
        point(folder / name, step.folder)


def _rows_have_rewards(request: Request, pairs: Step) -> bool:
    """Look at the pairs; raises ValueError where the metric needs rewards that they do not have."""
    with artifacts(pairs) as given:
        if has_rewards(given[pairs.key], request.config):
            return True
    refuse_missing_rewards(request.config)
    check_loss_takes(request.config["loss"], with_rewards=False)
    return False


def _run_steps(
    request: Request, steps: Mapping[str, Step], folder: Path, made: Mapping[str, Artifact]
) -> dict[str, Any]:
    """Build the steps and the page; returns the rest of the job's record. made: what this job has built already."""
    built: dict[str, Artifact] = {}
    scores: dict[str, dict[str, Any]] = {}  # of each evaluation by its name
    trains = "policy" in steps and _trains(request, steps["policy"])
    with _mirror(request, steps, folder, trains) as mirror:
        for name, step in steps.items():
            also = {"log": mirror.row} if step.kind == "policy" else {}  # the training step also mirrors its log
            if step.kind == "policy" and trains:
                with artifacts(steps["logps"], steps["selection"]):
                    check_before_training(request.config, steps)
            again = wants_rebuild(request.config, step)
            built[name] = build(step, rebuild=again, command=request.command_id, also=also, shown=name in made)
            with artifacts(step) as given:  # another command may build it again before this one ends
                refuse_bad_rows(request.config, given[step.key])
                if step.kind == "evaluation":
                    scores[name.removeprefix("evaluation_")] = _scores(given[step.key])
                if name == "pairs":  # before the expensive steps
                    _check_pairs(request, given[step.key])
        held_out = int(built["pairs"].counts["held_out"])
        last = list(built.values())[-1]
        result: dict[str, Any] = {"headline": untrained(last, request.config["metric"], held_out)}
        page = draw_page(request, steps, folder) if "selection" in steps else None
        if page is not None:
            built["report"] = page
            result["report"] = str(page.path / "report.html")
        if "policy" in steps:
            result |= _result(request, scores, built["policy"]) | {"trained": trains}
            mirror.rest_of_history()
            mirror.summary(result["scores"], built["selection"].counts)
            mirror.send(built["selection"].path, page.path if page else None)
    used = built | {name: one for name, one in made.items() if not one.reused}
    counts = built["selection"].counts if "selection" in built else {}
    alpha = counts.get("alpha", request.config["metric"].get("alpha"))
    record = nothing_known() | settings_compared(request.config, alpha) | result
    return record | {
        "kept": counts.get("kept"),
        "steps": step_records(used, Path(request.config["output_root"])),
    }


def _scores(evaluation: Artifact) -> dict[str, Any]:
    scores: dict[str, Any] = json.loads((evaluation.path / "scores.json").read_text())
    return scores


def _check_pairs(request: Request, made: Artifact) -> None:
    """Raise ValueError where nothing of these pairs would be kept; say which pairs a job that only selects ranks, where
    a training would rank fewer.
    """
    pairs = int(made.counts["train"])
    check_keep(request.config["keep"], pairs, PairIds(made.path / "pairs.parquet", pairs, "train"))
    if request.config["until"] == "selection" and (said := nothing_held_out(request.config["dataset"], pairs)):
        logger.info(said)


def _result(request: Request, scores: Mapping[str, dict[str, Any]], policy: Artifact) -> dict[str, Any]:
    """What a job that trained has to show."""
    return {
        "headline": headline(scores, request.config["evals"] or {}),
        "scores": {name: score for each in scores.values() for name, score in each.items()},
        "policy_key": policy.key,
    }


def _trains(request: Request, policy: Step) -> bool:
    """Whether this job is to train: the policy is not there, or it or what it follows from is to be built again."""
    again = (
        step
        for step in lineage(policy)
        if wants_rebuild(request.config, step) and will_rebuild(step, request.command_id)
    )
    return read_done(policy) is None or any(again)


def _mirror(request: Request, steps: Mapping[str, Step], folder: Path, trains: bool) -> AbstractContextManager[Mirror]:
    """The job's record outside of its own folders, where one is wanted."""
    if not request.config["tracking"] or "policy" not in steps:
        return nullcontext(Mirror())
    return component.bind("tracking", request.config["tracking"])(tracked_job(request, steps, folder, trains=trains))
