"""The record of a run: `runs/<time>-<slug>-<id>/` with what was asked, links to what was used, and the result."""

import logging
import os
import shlex
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from apm_exp.core.artifact import Artifact
from apm_exp.core.files import write_json, write_text
from apm_exp.core.sealed import set_aside, write_sealed
from apm_exp.data.sources.holdout import AUTO, USUAL
from apm_exp.jobs.ledger import write_record
from apm_exp.jobs.request import Request
from apm_exp.pipeline.graph import slug
from apm_exp.pipeline.step import Step
from apm_exp.report.describe import component_name
from apm_exp.report.scores import items_of
from apm_exp.report.tracking.job import TrackedJob
from apm_exp.runtime.provenance import provenance

logger = logging.getLogger(__name__)


def run_folder(request: Request, name: str) -> Path:
    """A new name for the folder of a run; nothing is written."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return Path(request.config["output_root"]) / "runs" / f"{stamp}-{slug(name)}-{uuid.uuid4().hex[:6]}"


def begin_run(request: Request, record: Mapping[str, Any], folder: Path) -> None:
    """Write the run's folder, at once: resolved configuration, command, provenance, and `record`, which names its
    steps. `runs/latest` points at it.
    """
    unfinished = folder.with_name(f".{folder.name}")  # task=clean refuses a run whose record is not there
    unfinished.mkdir(parents=True)
    write_text(OmegaConf.to_yaml(OmegaConf.create(request.config)), unfinished / "config.yaml")
    write_text(request.command + "\n", unfinished / "command.txt")
    write_json(provenance(), unfinished / "provenance.json")
    write_sealed(record, unfinished / "result.json")
    unfinished.rename(folder)
    keep_result(request, record, folder)
    point(folder.with_name("latest"), folder)


def point(link: Path, target: Path) -> None:
    """Make `link` a relative symbolic link to `target`, in one move.

    A folder in its place, as a copy that followed the links has one, is set aside.
    """
    if link.is_dir() and not link.is_symlink():
        logger.warning("%s: was a folder instead of a link; moved to %s", link, set_aside(link).name)
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target, link.parent))
    temporary.replace(link)


def keep_result(request: Request, result: Mapping[str, Any], folder: Path) -> None:
    """Write how the run stands into its folder, and into its sweep's ledger."""
    write_sealed(result, folder / "result.json")
    if request.sweep:
        write_record(Path(request.sweep), request.number, result)


DEFAULT_ROOT = "outputs"  # of conf/config.yaml
Scores = Mapping[str, Mapping[str, Any]]


def headline(evaluations: Mapping[str, Scores], nodes: Mapping[str, Mapping[str, Any]]) -> str:
    """The first score in words: its value, its interval with the level that the evaluation's node gives, its n.

    evaluations: scores.json by name of the evaluation, in order. nodes: `evals`.
    """
    first = next(((name, scores) for name, scores in evaluations.items() if scores), None)
    if first is None:
        return "done (no evaluation)"
    evaluation, scores = first
    name, score = next(iter(scores.items()))
    (low, high), level = score["interval"], nodes[evaluation].get("confidence")
    interval = f"{100 * level:g}% interval" if level else "interval"
    number = items_of(score["n"], score.get("prompts"))
    return f"{name.replace('_', ' ')} {score['value']:.3f} ({interval} {low:.3f} to {high:.3f}, n {number})"


def untrained(last: Artifact, metric: Mapping[str, Any], held_out: int) -> str:
    """What a job that stops before training has made, in words: how many of the ranked pairs are kept, by what, how
    many were held out, and the file.

    last: the last step that was built. metric: its node; counts have the alpha where a rule has chosen it.
    """
    if last.kind != "selection":
        return f"done until {last.kind}, in {last.path}"
    alpha = last.counts.get("alpha", metric.get("alpha"))
    shown = f"{alpha:g}" if isinstance(alpha, int | float) else alpha
    by = component_name(metric) + ("" if alpha is None else f", alpha {shown}")
    kept = f"{last.counts['kept']:,} of {last.counts['pairs']:,} pairs kept by {by}; {held_out or 'none'} held out"
    return f"{kept}: {last.path / 'selection.parquet'}"


def nothing_held_out(dataset: Mapping[str, Any], pairs: int) -> str | None:
    """What `until=selection` ranks where dataset.holdout=auto holds nothing out for it; None for other data sets."""
    if dataset["holdout"] != AUTO or dataset.get("holdout_split"):
        return None
    later = f"a later training holds out {USUAL:.0%} of the prompts and scores the pairs again"
    remedy = f"unless you give dataset.holdout={USUAL:g} now"
    return f"until=selection: all {pairs:,} pairs are ranked, as nothing is evaluated; {later}, {remedy}"


def what_next(record: Mapping[str, Any], run: str, output_root: str) -> str:
    """What comes after the headline of a job: its page, and where it only selects the command for the texts."""
    page = f" | report: {record['report']}" if record["report"] else ""
    if record["kept"] is None or record["policy_key"] is not None:
        return page
    elsewhere = [] if output_root == DEFAULT_ROOT else [f"output_root={output_root}"]
    return f"{page} | their texts: {shlex.join(['python', '-m', 'apm_exp', 'task=export', f'run={run}', *elsewhere])}"


def beginning(request: Request, folder: Path, steps: Mapping[str, Step]) -> dict[str, Any]:
    """What is known of a job before its work. run: its record's folder, relative to output_root.

    steps: what it is going to use, by name, whether it is there or not; links to them may get lost where outputs are
    copied.
    """
    used = {name: {"key": step.key, "folder": step.name} for name, step in steps.items()}
    run = folder.relative_to(request.config["output_root"])
    record = {"number": request.number, "swept": request.swept or {}, "state": "running", "reason": None}
    return record | {"command": request.command, "run": run.as_posix(), "steps": used}


def nothing_known() -> dict[str, Any]:
    """The result of a job that has none: it waits, was killed, failed, or was to stop before training."""
    return {"scores": {}, "kept": None, "trained": None, "policy_key": None, "report": None, "seconds": None}


def settings_compared(config: Mapping[str, Any], alpha: float | None) -> dict[str, Any]:
    """What a comparison of jobs needs to know of their settings. alpha: the metric's, the number where it is auto."""
    names = ("metric", "keep", "baseline", "trusted_packages")
    compared = {name: config[name] for name in names}
    number = {} if alpha is None else {"alpha": alpha}
    return compared | {"metric": {**config["metric"], **number}} | {"alpha": alpha}


def step_records(artifacts: Mapping[str, Artifact], root: Path) -> dict[str, dict[str, Any]]:
    """Of each step by name: key, build, folder relative to `root` (output_root), seconds of making, counts, `reused`.

    reused: it was there, or another process made it while this one waited.
    """
    return {
        name: {
            "key": one.key,
            "build": one.build,
            "folder": one.path.relative_to(root).as_posix(),
            "seconds": one.seconds,
            "counts": dict(one.counts),
            "reused": one.reused,
        }
        for name, one in artifacts.items()
    }


def tracked_job(request: Request, steps: Mapping[str, Step], folder: Path, *, trains: bool) -> TrackedJob:
    """The job of a request: the same policy and evaluations in the same sweep (or in none) are the same job."""
    known = {name: provenance()[name] for name in ("commit", "versions", "hardware")}
    return TrackedJob(
        config=request.config | {"provenance": known},
        choices=request.choices,
        swept=request.swept or {},
        command=request.command,
        folder=folder,
        group=Path(request.sweep).name if request.sweep else None,
        records=Path(request.config["output_root"]) / ".tracking",
        keys=tuple(step.key for name, step in steps.items() if name == "policy" or name.startswith("evaluation_")),
        history=steps["policy"].folder / "metrics.jsonl",
        trains=trains,
    )
