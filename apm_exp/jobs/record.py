"""The results of a run, in words and as fields of its record."""

import logging
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apm_exp.core.artifact import Artifact
from apm_exp.core.component import name_of
from apm_exp.core.step_names import iteration_of, of_kind
from apm_exp.data.sources.holdout import AUTO, USUAL
from apm_exp.jobs.request import Request
from apm_exp.pipeline.step import Step
from apm_exp.report.tracking.job import TrackedJob, Training
from apm_exp.runtime.provenance import provenance

logger = logging.getLogger(__name__)


DEFAULT_ROOT = "outputs"  # of conf/config.yaml


def untrained(last: Artifact, metric: Mapping[str, Any], held_out: int) -> str:
    """Return the result of a job that stops before training, in words.

    It says how many of the ranked pairs are kept, by which metric, how many are held out, and names the file.

    last: the last step that was built. metric: its node; counts have the alpha if a rule has chosen it.
    """
    if last.kind != "selection":
        return f"done until {last.kind}, in {last.path}"
    alpha = last.counts.get("alpha", metric.get("alpha"))
    shown = f"{alpha:g}" if isinstance(alpha, int | float) else alpha
    by = name_of(metric) + ("" if alpha is None else f", alpha {shown}")
    kept = f"{last.counts['kept']:,} of {last.counts['pairs']:,} pairs kept by {by}; {held_out or 'none'} held out"
    return f"{kept}: {last.path / 'selection.parquet'}"


def nothing_held_out(dataset: Mapping[str, Any], pairs: int) -> str | None:
    """Return a remark on what until=selection ranks if dataset.holdout=auto holds nothing out for it; else None."""
    if dataset.get("holdout", AUTO) != AUTO or dataset.get("holdout_split"):
        return None
    later = f"a later training holds out {USUAL:.0%} of the prompts, and reuses the log-probs and rewards"
    return f"until=selection: all {pairs:,} pairs are ranked, as nothing is evaluated; {later}"


def say_result(record: Mapping[str, Any], run: str, output_root: str, *, in_sweep: bool) -> None:
    """Log the result of a job, and then its verdict; a job of a sweep logs its result only.

    So the last line of a run ends with a command, and that can be copied to the end of the line.
    """
    last = record["verdict"] if not in_sweep else None
    trained = record["policy_key"] is not None
    first = what_next(record, run, output_root)
    logger.info("%s", f"{first}".removeprefix(" | ") if last and trained and first else f"{record['headline']}{first}")
    if last:
        logger.info("%s", last)


def what_next(record: Mapping[str, Any], run: str, output_root: str) -> str:
    """Return the text after a job's headline: its page, and the export command if the job only selects."""
    page = f" | report: {record['report']}" if record["report"] else ""
    if record["kept"] is None or record["policy_key"] is not None:
        return page
    return f"{page} | their texts: {export_command(run, output_root)}"


def export_command(run: str, output_root: str) -> str:
    """Return the command that exports the pairs that a run has kept."""
    elsewhere = [] if output_root == DEFAULT_ROOT else [f"output_root={output_root}"]
    return shlex.join(["python", "-m", "apm_exp", "task=export", f"run={run}", *elsewhere])


def nothing_known() -> dict[str, Any]:
    """Return the result of a job without one: it waits, was killed, failed, or stops before training."""
    return {
        "scores": {},
        "verdict": None,
        "kept": None,
        "trained": None,
        "policy_key": None,
        "report": None,
        "seconds": None,
    }


def settings_compared(config: Mapping[str, Any], alpha: float | None) -> dict[str, Any]:
    """Return the settings that a comparison of jobs needs. alpha: the metric's; the chosen number if it is auto."""
    names = ("metric", "keep", "baseline", "trusted_packages")
    compared = {name: config[name] for name in names}
    number = {} if alpha is None else {"alpha": alpha}
    return compared | {"metric": {**config["metric"], **number}} | {"alpha": alpha}


def tracked_job(request: Request, steps: Mapping[str, Step], folder: Path, *, trains: bool) -> TrackedJob:
    """Return the job of a request: the same policy and evaluations in the same sweep (or in none) are the same job."""
    known = {name: provenance()[name] for name in ("commit", "versions", "hardware")}
    policies = of_kind(steps, "policy")
    trainings = [
        Training(policy.folder / "metrics.jsonl", iteration_of(policy.name) or number if len(policies) > 1 else None)
        for number, policy in enumerate(policies.values(), 1)
    ]
    return TrackedJob(
        config=request.config | {"provenance": known},
        choices=request.choices,
        swept=request.swept or {},
        command=request.command,
        folder=folder,
        group=Path(request.sweep).name if request.sweep else None,
        records=Path(request.config["output_root"]) / ".tracking",
        keys=([*(policies or steps).values()][-1].key, *(step.key for step in of_kind(steps, "evaluation").values())),
        trainings=tuple(trainings),
        trains=trains,
    )
