"""The figures of a headline score over the swept numbers, with their captions."""

import itertools
from typing import Any

from apm_exp.report.compare.arms import Arm, words
from apm_exp.report.sweep.curves import MOST_LINES, curve_figure, lines_over
from apm_exp.report.sweep.grids import grid_figure, grids_over
from apm_exp.report.sweep.numeric_settings import chosen_numbers, numbers_of, numeric_settings
from apm_exp.report.sweep.scores import ArmScores
from apm_exp.report.sweep.table import axis_words

Context = dict[str, Any]
MOST_GRIDS = 4
_SAME = "Points of one arm at several values are the same policy, which does not depend on the setting."


def curves(arms: list[Arm], one: ArmScores) -> list[Context]:
    """Return one figure for each swept number."""
    drawn = []
    for key in numeric_settings(arms):
        lines = lines_over(key, arms, one.compared.means)
        if lines:
            svg = curve_figure(f"curve-{one.compared.score}-{_id(key)}", key, axis_words(one), one.unit, lines)
            notes = [f"{MOST_LINES} of {len(lines)} lines are drawn; the table has all."][: len(lines) > MOST_LINES]
            notes += [f"{key}=auto chose {number:g}." for number in chosen_numbers(arms, key)]
            notes += [_SAME] if any(len(numbers_of(arm, key)) > 1 for arm in arms) else []
            title = f"{one.words} over {words(key, '').strip()}"
            drawn.append({"title": title, "svg": svg, "notes": notes})
    return drawn


def grids(arms: list[Arm], one: ArmScores) -> list[Context]:
    """Return a heat map for each two swept numbers and each combination of the other settings."""
    drawn = []
    for keys in itertools.combinations(numeric_settings(arms), 2):
        drawable = grids_over(*keys, arms, one.compared.means)
        for number, grid in enumerate(drawable[:MOST_GRIDS]):
            name = f"grid-{one.compared.score}-{_id(keys[0])}-{_id(keys[1])}-{number}"
            title = f"{axis_words(one)}{f': {grid.label}' if grid.label else ''}"
            notes = [f"{MOST_GRIDS} of {len(drawable)} are drawn."] if len(drawable) > MOST_GRIDS else []
            drawn.append({"title": title, "svg": grid_figure(name, grid, keys, one.unit), "notes": notes})
    return drawn


def _id(key: str) -> str:
    return key.replace(".", "-")
