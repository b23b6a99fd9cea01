"""The outcome of a job: its selections, its scores, and its verdict."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from apm_exp.core.artifact import Artifact
from apm_exp.core.sorted_parquet import rows_of_split
from apm_exp.core.split import held_out_split
from apm_exp.core.step_names import last_of
from apm_exp.data.sources.holdout import holdout_of
from apm_exp.jobs.job import Job
from apm_exp.jobs.record import untrained
from apm_exp.jobs.report_step import shown_steps
from apm_exp.report.evaluated import evaluated
from apm_exp.report.verdict import first_score, verdict


def selections(job: Job, built: Mapping[str, Artifact]) -> list[Artifact]:
    """Return the selections of the last training's parts; the last selection, if any, of a job that does not train."""
    if job.policy is None:
        last = last_of(built, "selection")
        return [last] if last else []
    return [built[part["selection"].name] for part in job.policy.inputs["parts"]]


def together(counts: Sequence[Mapping[str, int | float]]) -> dict[str, int | float]:
    """Return the sums of the counts of several selections, and the last alpha."""
    total: dict[str, int | float] = {}
    for each in counts:
        total |= {name: count if name == "alpha" else total.get(name, 0) + count for name, count in each.items()}
    return total


def in_words(job: Job, built: Mapping[str, Artifact]) -> str:
    """Return the result of a job that stops before training, in words."""
    pairs, held_out = last_of(built, "pairs"), 0
    if pairs is not None:
        split = held_out_split(pairs, holdout_of(job.config["dataset"], job.config["until"]))
        held_out = rows_of_split(pairs.path / "pairs.parquet", split)
    return untrained(list(built.values())[-1], job.config["metric"], held_out)


def verdict_of(job: Job, built: Mapping[str, Artifact]) -> str:
    """Return the verdict on this run, with the command for the comparison that one run cannot make."""
    made = {kind: built[step.name] for kind, step in shown_steps(job.steps).items()}
    scores = {name: _scores(built[step.name]) for name, step in job.evaluations.items()}
    request = job.request
    return str(verdict(request.config, request.choices["metric"], request.command, made, scores))


def result_of(job: Job, built: Mapping[str, Artifact]) -> dict[str, Any]:
    """Return the headline, scores and key of a job that trained, or that has evaluated a reward source."""
    scores = {name: _scores(built[step.name]) for name, step in job.evaluations.items()}
    nodes = {name: step.inputs["evaluation"] for name, step in job.evaluations.items()}
    return {
        "headline": first_score(scores, nodes) or "done (no evaluation)",
        "scores": {
            name: score | {"of": evaluated(job.config, evaluation)}
            for evaluation, each in scores.items()
            for name, score in each.items()
        },
        "policy_key": job.policy.key if job.policy else None,
    }


def _scores(evaluation: Artifact) -> dict[str, Any]:
    scores: dict[str, Any] = json.loads((evaluation.path / "scores.json").read_text())
    return scores
