"""One score of all arms: their means, and each arm's difference to the baseline arm."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apm_exp.report.compare.arms import Arm, Job, steps_of
from apm_exp.report.compare.outcomes import Outcomes, read_outcomes, side_by_side
from apm_exp.report.compare.paired import Difference, Mean, differences, means


@dataclass(frozen=True)
class Compared:
    """means: of each arm, None where it has none. problem: why there is no difference, None where there is one."""

    evaluation: str
    score: str
    items: str
    means: list[Mean | None]
    differences: list[Difference]
    problem: str | None


def compare(root: Path, arms: list[Arm], baseline: int, evaluation: str, score: str) -> Compared:
    """Compare one score. root: the folder that the steps' folders are relative to.

    Raises what `read_outcomes` raises.
    """
    seeds = list(dict.fromkeys(seed for arm in arms for seed in arm.by_seed))
    read = [[_outcomes(root, arm.by_seed.get(seed), evaluation, score) for seed in seeds] for arm in arms]
    present = [one for row in read for one in row if one is not None]
    if not present:
        return Compared(evaluation, score, "items", [None] * len(arms), [], "no job finished with it")
    values, prompt_N = side_by_side([one for row in read for one in row])
    values_ASN = values.reshape(len(arms), len(seeds), -1)
    found = differences(values_ASN, prompt_N, baseline) if len(arms) > 1 else []
    problem = None if found else _problem(arms, values_ASN, baseline)
    return Compared(evaluation, score, present[0].items, means(values_ASN, prompt_N), found, problem)


def _outcomes(root: Path, job: Job | None, evaluation: str, score: str) -> Outcomes | None:
    step = steps_of(job).get(f"evaluation_{evaluation}") if job else None
    return read_outcomes(root / step["folder"], score) if step else None


def _problem(arms: list[Arm], values_ASN: np.ndarray, baseline: int) -> str:
    if len(arms) == 1:
        return "there is one arm only"
    if not np.isfinite(values_ASN[baseline]).any():
        return f"no job of the baseline arm ({arms[baseline].label}) finished with it"
    return f"no other arm has a seed and items in common with the baseline arm ({arms[baseline].label})"
