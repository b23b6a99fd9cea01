"""One score of all arms: their means, and each arm's difference from the baseline arm."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apm_exp.report.compare.arms import Arm, Job, steps_of
from apm_exp.report.compare.outcomes import Outcomes, read_outcomes, side_by_side
from apm_exp.report.compare.paired import Difference, Mean, differences, means


@dataclass(frozen=True)
class Compared:
    """One score of all arms.

    means: of each arm, or None. problem: why there are no differences, or None.
    """

    evaluation: str
    score: str
    items: str
    means: list[Mean | None]
    differences: list[Difference]
    problem: str | None


def compare(root: Path, arms: list[Arm], baseline: int, evaluation: str, score: str) -> Compared:
    """Compare one score of all arms. root: the folder to which the steps' folders are relative.

    Raises what `read_outcomes` raises.
    """
    seeds = list(dict.fromkeys(seed for arm in arms for seed in arm.by_seed))
    read = [[_outcomes(root, arm.by_seed.get(seed), evaluation, score) for seed in seeds] for arm in arms]
    present = [outcomes for row in read for outcomes in row if outcomes is not None]
    if not present:
        return Compared(evaluation, score, "items", [None] * len(arms), [], "no finished job has it")
    values, prompt_N = side_by_side([outcomes for row in read for outcomes in row])
    values_ASN = values.reshape(len(arms), len(seeds), -1)
    compared = differences(values_ASN, prompt_N, baseline) if len(arms) > 1 else []
    problem = None if compared else _problem(arms, values_ASN, baseline)
    return Compared(evaluation, score, present[0].items, means(values_ASN, prompt_N), compared, problem)


def _outcomes(root: Path, job: Job | None, evaluation: str, score: str) -> Outcomes | None:
    step = steps_of(job).get(f"evaluation.{evaluation}") if job else None
    return read_outcomes(root / step["folder"], score) if step else None


def _problem(arms: list[Arm], values_ASN: np.ndarray, baseline: int) -> str:
    if len(arms) == 1:
        return "there is only one arm"
    if not np.isfinite(values_ASN[baseline]).any():
        return f"no finished job of the baseline arm ({arms[baseline].label}) has it"
    return f"no other arm has a seed and items in common with the baseline arm ({arms[baseline].label})"
