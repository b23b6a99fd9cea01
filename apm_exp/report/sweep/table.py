"""The arms of a sweep: a table with one row per arm, and a figure for each headline score."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core.step_names import last_of
from apm_exp.report.compare.arms import Arm, steps_of
from apm_exp.report.compare.paired import Mean
from apm_exp.report.scores import STARTING, is_share, items_of
from apm_exp.report.sweep.arms_figure import Row, arms_figure
from apm_exp.report.sweep.scores import ArmScores
from apm_exp.report.sweep.sentence import half_width, in_units

Context = dict[str, Any]


def arm_rows(arms: list[Arm], headlines: list[ArmScores]) -> list[Context]:
    """Return the table's rows: settings, jobs, seeds, the headline scores with intervals, kept, steps, time.

    kept, steps: of the last training of a job.
    """
    keys = list(dict.fromkeys(key for arm in arms for key in arm.settings))
    return [_row(place, arm, keys, headlines) for place, arm in enumerate(arms)]


def _row(place: int, arm: Arm, keys: list[str], headlines: list[ArmScores]) -> Context:
    finished = list(arm.by_seed.values())
    return {
        "label": arm.label,
        "settings": [", ".join(arm.settings.get(key, ())) for key in keys],
        "jobs": [(job["number"], job["report"]) for job in arm.jobs],
        "done": sum(job["state"] == "done" for job in arm.jobs),
        "seeds": len(finished),
        "scores": [_score(one.compared.means[place], one.unit) for one in headlines],
        "kept": _each([job["kept"] for job in finished]),
        "steps": _each([_optimizer_steps(job) for job in finished]),
        "seconds": sum(job["seconds"] or 0 for job in arm.jobs),
    }


def _optimizer_steps(job: Mapping[str, Any]) -> int | None:
    steps: int | None = (last_of(steps_of(job), "policy") or {}).get("counts", {}).get("optimizer_steps")
    return steps


def _score(mean: Mean | None, unit: str | None) -> Context | None:
    if mean is None:
        return None
    sign = "%" if is_share(unit) else ""
    error = half_width(mean.over_prompts) / 2 if mean.over_prompts else 0.0
    numbers = [in_units(value, error, unit, signed=False) + sign for value in (mean.value, *(mean.over_prompts or ()))]
    interval = f"{numbers[1]} to {numbers[2]}" if mean.over_prompts else "no interval"
    return {"sort": mean.value, "value": numbers[0], "interval": interval, "n": items_of(mean.items, mean.prompts)}


def _each(numbers: list[int | None]) -> list[int]:
    """Return the distinct numbers among the jobs of an arm."""
    return sorted({number for number in numbers if number is not None})


def arm_figures(arms: list[Arm], headlines: list[ArmScores], jobs: list[Context]) -> list[Context]:
    """Return one figure for each headline score that any arm has."""
    drawn = []
    for number, one in enumerate(headlines):
        rows = [
            Row(arm.label, mean.value, mean.over_prompts, ticks=mean.by_seed)
            for arm, mean in zip(arms, one.compared.means, strict=True)
            if mean is not None
        ]
        if rows:
            axis = axis_words(one)
            svg = arms_figure(f"arms-{number}", axis, one.unit, rows, _reference(one.compared.score, jobs))
            drawn.append({"title": one.words, "svg": svg})
    return drawn


def axis_words(one: ArmScores) -> str:
    """Return a score's name with its unit."""
    unit = "%" if is_share(one.unit) else one.unit
    return f"{one.words} ({unit})" if unit else one.words


def _reference(name: str, jobs: list[Context]) -> float | None:
    """Return the starting policy's value, if all arms have the same; a half for a win rate against it."""
    starting = {job["scores"][STARTING + name]["value"] for job in jobs if STARTING + name in job["scores"]}
    if len(starting) == 1:
        return float(starting.pop())
    return 0.5 if "win_rate" in name else None
