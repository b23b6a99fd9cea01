"""The arms of a sweep and their differences as rows of numbers: verdict.json has them, and trackers log them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from apm_exp.report.compare.arms import Arm
from apm_exp.report.compare.paired import Mean
from apm_exp.report.sweep.scores import ArmScores

Row = dict[str, Any]


def rows_of_arms(shown: Sequence[Mapping[str, Any]], headlines: Sequence[ArmScores]) -> list[Row]:
    """Return a row for each arm: each headline score with its interval, seeds, pairs kept, optimizer steps, seconds.

    shown: the rows of the page's table. A number that differs among the jobs of an arm is their mean.
    """
    return [
        {"arm": arm["label"]}
        | {name: value for one in headlines for name, value in _score(one.words, one.compared.means[place]).items()}
        | {"seeds": arm["seeds"], "kept": _mean(arm["kept"]), "optimizer_steps": _mean(arm["steps"])}
        | {"seconds": round(arm["seconds"], 1)}
        for place, arm in enumerate(shown)
    ]


def rows_of_differences(scores: Sequence[ArmScores], arms: Sequence[Arm], baseline: int) -> list[Row]:
    """Return a row for each difference of an arm from the baseline arm, in each score's own unit (a share from 0 to 1).

    p: not corrected; p_holm: corrected for the number of arms, by which `significant` is decided.
    """
    return [
        {"score": one.words, "arm": arms[each.arm].label, "baseline": arms[baseline].label}
        | {"difference": _number(each.value), "low": _number(each.interval[0]), "high": _number(each.interval[1])}
        | {"p": _number(each.p), "p_holm": _number(each.p_holm), "significant": not each.noise}
        | {"items": each.items, "prompts": each.prompts, "seeds": each.seeds}
        for one in scores
        for each in one.compared.differences
    ]


def _score(words: str, mean: Mean | None) -> Row:
    low, high = mean.over_prompts if mean and mean.over_prompts else (None, None)
    return {words: _number(mean.value if mean else None), f"{words} low": _number(low), f"{words} high": _number(high)}


def _number(value: float | None) -> float | None:
    """Return a value as JSON can have it."""
    return float(value) if value is not None and math.isfinite(value) else None


def _mean(numbers: Sequence[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None
