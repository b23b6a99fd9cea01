"""One job: build the steps in order, keep a record of the run, and say how it ended."""

import json
import logging
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from apm_exp import component, tracking
from apm_exp.artifact import Artifact, Step, follows, read_done
from apm_exp.build import build, built_after
from apm_exp.digest import FileDigests, local_paths
from apm_exp.ending import one_line
from apm_exp.headline import headline
from apm_exp.memory.check import check_before_training
from apm_exp.models.pretrained import is_here
from apm_exp.pipeline import Choices, build_graph, report_step
from apm_exp.preflight import check_keep, check_loss_takes, refuse_missing_rewards
from apm_exp.provenance import provenance
from apm_exp.run_record import keep_result, new_run_folder, point
from apm_exp.worker import Request

if TYPE_CHECKING:
    from apm_exp.disk import Disk

logger = logging.getLogger(__name__)


def steps_of(request: Request, digests: FileDigests, *, with_rewards: bool) -> dict[str, Step]:
    """The steps of a job by name."""
    names = {name: request.choices[name] for name in Choices.__dataclass_fields__}
    steps = build_graph(request.config, Choices(**names), with_rewards=with_rewards, digests=digests)
    assert all(step.key for step in steps.values())  # named now: an edit during the work belongs to the next command
    return steps


def _digests(request: Request) -> FileDigests:
    return FileDigests(Path(request.config["output_root"]) / ".digests.json")


def is_finished(request: Request, with_rewards: bool | None) -> bool:
    """Whether every step of a job is there, so that nothing would be computed; only looks.

    False too where the answer would take reading a model's weights or asking the Hub for them, and where something
    cannot be read: the checks, or the work, then say what.
    """
    config, digests = request.config, _digests(request)
    paths = [path for group in ("dataset", "model", "reward") for path in local_paths(config[group].get("path"))]
    if config["rebuild"] != "none" or not is_here(config["model"]) or not all(map(digests.knows, paths)):
        return False
    try:
        if with_rewards is None:
            pairs = read_done(steps_of(request, digests, with_rewards=True)["pairs"])
            with_rewards = pairs is not None and _has_rewards(pairs)
        return all(map(read_done, steps_of(request, digests, with_rewards=with_rewards).values()))
    except (OSError, ValueError):
        return False


def plan_job(request: Request, with_rewards: bool | None) -> "Disk":
    """Print what the job would do, and return the disk that it would need; writes nothing."""
    from apm_exp.plan import print_plan

    steps = steps_of(request, _digests(request), with_rewards=with_rewards is not False)
    return print_plan(_title(request), steps, request.config)


def _title(request: Request) -> str:
    swept = " ".join(f"{key}={value}" for key, value in (request.swept or {}).items())
    name = f"job {request.number}: {swept}" if request.sweep or swept else "plan"
    return f"{name} ({request.config['hyperparameters']})"


def run_job(request: Request, with_rewards: bool | None) -> None:
    """Build what is missing, report, and leave the record of the run, also of one that fails."""
    digests = _digests(request)
    if with_rewards is None:
        with_rewards = _rows_have_rewards(request, digests)
    steps = steps_of(request, digests, with_rewards=with_rewards)
    folder = new_run_folder(request, steps["policy"].slug)
    for name, step in steps.items():  # before they are there: task=clean takes nothing that a run links to
        point(folder / name, step.folder)
    if request.sweep:
        logger.info("job %d: %s", request.number, " ".join(f"{k}={v}" for k, v in (request.swept or {}).items()))
    logger.info("settings     from: %s", request.config["hyperparameters"])
    record: dict[str, Any] = {"number": request.number, "swept": request.swept or {}, "state": "running"}
    started = time.monotonic()
    try:
        record |= _run_steps(request, steps, folder) | {"state": "done", "reason": None}
    except BaseException as error:
        record |= {"state": "failed", "reason": one_line(error)}
        raise
    finally:
        digests.save()
        record["seconds"] = round(time.monotonic() - started, 1)
        keep_result(request, record, folder)
    logger.info("%s | report: %s", record["headline"], record["report"])


def _rows_have_rewards(request: Request, digests: FileDigests) -> bool:
    """Build the pairs and look; raises ValueError where the metric needs rewards that they do not have."""
    pairs = build(steps_of(request, digests, with_rewards=True)["pairs"])
    if _has_rewards(pairs):
        return True
    refuse_missing_rewards(request.config)
    check_loss_takes(request.config["loss"], with_rewards=False)
    return False


def _has_rewards(pairs: Artifact) -> bool:
    rewards = pq.read_table(pairs.path / "pairs.parquet", columns=["recorded_rewards"])["recorded_rewards"]
    return rewards.null_count == 0


def _run_steps(request: Request, steps: Mapping[str, Step], folder: Path) -> dict[str, Any]:
    built: dict[str, Artifact] = {}
    trains = _trains(request, steps["policy"], steps)
    with tracking.tracked(_tracker(request, folder) if trains else None) as log:
        for name, step in steps.items():
            also = {"log": log} if step.kind == "policy" else {}  # the training step also mirrors its log
            if step.kind == "policy" and trains:
                check_before_training(request.config, steps)
            built[name] = build(step, rebuild_since=_rebuild(request, step, steps), also=also)
            if name == "pairs":  # before the expensive steps
                check_keep(request.config["keep"], int(built[name].counts["train"]))
        page_step = report_step(request.config, steps, command=request.command, provenance=provenance())
        point(folder / "report", page_step.folder)
        page = build(page_step, rebuild_since=_rebuild(request, page_step, steps))
        evaluations = _evaluations(built)
        scores = {name: score for each in evaluations.values() for name, score in each.items()}
        log(
            {
                f"{name}/{part}": score[part]
                for name, score in scores.items()
                for part in ("value", "standard_error", "n")
            }
        )
    kept = built["selection"].counts.get("kept")
    return {
        "headline": headline(evaluations, request.config["evals"] or {}),
        "scores": scores,
        "kept": kept,
        "trained": trains,
        "policy_key": built["policy"].key,
        "report": str(page.path / "report.html"),
    }


def _trains(request: Request, policy: Step, steps: Mapping[str, Step]) -> bool:
    """Whether this job is to train: the policy is not there, or is to be built again."""
    since = _rebuild(request, policy, steps)
    return read_done(policy) is None or (since is not None and not built_after(policy, since))


def _rebuild(request: Request, step: Step, steps: Mapping[str, Step]) -> float | None:
    """Since when a step must have been built: the kind that is asked for, and all that follows from it."""
    kind = request.config["rebuild"]
    wanted = kind == "all" or (kind != "none" and follows(step, kind, {one.key: one for one in steps.values()}))
    return request.started if wanted else None


def _tracker(request: Request, folder: Path) -> Any:
    if not request.config["tracking"]:
        return None
    start = component.bind("tracking", request.config["tracking"])
    group = Path(request.sweep).name if request.sweep else None
    return partial(start, request.config, folder, folder.name, group, request.swept or {})


def _evaluations(built: Mapping[str, Artifact]) -> dict[str, dict[str, Any]]:
    """scores.json of each evaluation, by its name."""
    prefix = "evaluation_"
    found = {name.removeprefix(prefix): one.path for name, one in built.items() if name.startswith(prefix)}
    return {name: json.loads((path / "scores.json").read_text()) for name, path in found.items()}
