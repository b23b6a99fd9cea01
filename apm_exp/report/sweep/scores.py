"""The scores of a sweep's arms: with their outcomes if they can be compared, else as recorded by the jobs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from apm_exp.core.step_names import evaluations_of
from apm_exp.report.compare.arms import Arm, Job, steps_of
from apm_exp.report.compare.compared import Compared, compare
from apm_exp.report.compare.outcomes import compared_scores
from apm_exp.report.compare.paired import Mean
from apm_exp.report.scores import headline_name, is_share


@dataclass(frozen=True)
class ArmScores:
    """One score of all arms. headline: whether it is its evaluation's first. unit: as in scores.json."""

    compared: Compared
    headline: bool
    unit: str | None

    @property
    def words(self) -> str:
        """Return the score's name, with the evaluation's name unless that is redundant."""
        score, evaluation = (name.replace("_", " ") for name in (self.compared.score, self.compared.evaluation))
        return score if evaluation == score or score.startswith(evaluation.split()[0]) else f"{score} ({evaluation})"


def scores_of_arms(root: Path, arms: list[Arm], baseline: int) -> list[ArmScores]:
    """Return every score that has outcomes, and each evaluation's first score in any case; headlines first."""
    found = [one for name in _evaluations(arms) for one in _of_evaluation(root, arms, baseline, name)]
    return sorted(found, key=lambda one: not one.headline)


def _finished(arms: list[Arm]) -> Iterator[Job]:
    return (job for arm in arms for job in arm.by_seed.values())


def _evaluations(arms: list[Arm]) -> list[str]:
    return list(dict.fromkeys(name for job in _finished(arms) for name in evaluations_of(steps_of(job))))


def _of_evaluation(root: Path, arms: list[Arm], baseline: int, evaluation: str) -> Iterator[ArmScores]:
    """Yield the scores of an evaluation; none if it has no scores in any job."""
    for job in _finished(arms):
        if not (step := evaluations_of(steps_of(job)).get(evaluation)):
            continue
        folder = root / step["folder"]
        records = _records(folder, job)
        if not records:
            continue
        first = headline_name(records)
        try:
            names = compared_scores(folder, records)
        except OSError:
            names = []
        for name in dict.fromkeys([first, *names]):
            one, unit = _compared(root, arms, baseline, evaluation, name), records[name].get("unit")
            means = [_share(mean) if mean and is_share(unit) else mean for mean in one.means]
            yield ArmScores(replace(one, means=means), name == first, unit)
        return


def _records(folder: Path, job: Job) -> dict[str, Any]:
    try:
        return json.loads((folder / "scores.json").read_text())
    except (OSError, ValueError):  # removed or damaged: use the job's own record
        return dict(job["scores"])


def _compared(root: Path, arms: list[Arm], baseline: int, evaluation: str, score: str) -> Compared:
    try:
        return compare(root, arms, baseline, evaluation, score)
    except (ValueError, OSError) as error:
        means = [_recorded(arm, score) for arm in arms]
        return Compared(evaluation, score, "items", means, [], f"its outcomes cannot be read: {error}")


def _share(mean: Mean) -> Mean:
    """Return the mean of a share with its interval clipped to [0, 1]."""
    if mean.over_prompts is None:
        return mean
    low, high = mean.over_prompts
    return replace(mean, over_prompts=(max(0.0, low), min(1.0, high)))


def _recorded(arm: Arm, score: str) -> Mean | None:
    """Return an arm's mean from the jobs' records."""
    records = [job["scores"][score] for job in arm.by_seed.values() if score in job["scores"]]
    if not records:
        return None
    values = tuple(float(record["value"]) for record in records)
    low, high = records[0]["interval"]
    interval = (float(low), float(high)) if len(records) == 1 else None
    n = records[0]["n"]
    return Mean(float(np.mean(values)), n, records[0].get("prompts", n), values, interval)
