"""Heat maps of a score over two swept numeric settings."""

import itertools
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from apm_exp.report.compare.arms import Arm, words
from apm_exp.report.compare.paired import Mean
from apm_exp.report.matrix_figure import matrix_figure
from apm_exp.report.scores import is_share
from apm_exp.report.sweep.numeric_settings import numbers_of


@dataclass(frozen=True)
class Grid:
    """A score over two numbers. mean_RC: the means, None if no arm has them."""

    label: str
    rows: list[float]
    columns: list[float]
    mean_RC: list[list[Mean | None]]


def grids_over(row_key: str, column_key: str, arms: list[Arm], means: list[Mean | None]) -> list[Grid]:
    """Return one grid for each combination of the other settings with at least two rows and two columns."""
    by_label: dict[str, dict[tuple[float, float], Mean]] = {}
    for arm, mean in zip(arms, means, strict=True):
        keys = (row_key, column_key)
        others = [words(key, *values) for key, values in arm.settings.items() if key not in keys and len(values) == 1]
        if mean is not None:
            cells = by_label.setdefault(", ".join(others), {})
            rows, columns = (numbers_of(arm, key) for key in keys)
            cells |= dict.fromkeys(itertools.product(rows, columns), mean)
    grids = [_grid(label, cells) for label, cells in by_label.items()]
    return [grid for grid in grids if len(grid.rows) > 1 and len(grid.columns) > 1]


def _grid(label: str, cells: dict[tuple[float, float], Mean]) -> Grid:
    rows, columns = (sorted(set(values)) for values in zip(*cells, strict=True)) if cells else ([], [])
    return Grid(label, rows, columns, [[cells.get((row, column)) for column in columns] for row in rows])


def grid_figure(name: str, grid: Grid, keys: tuple[str, str], unit: str | None) -> Markup:
    """Return a heat map of a grid, shaded from its lowest to its highest mean."""
    scale = 100.0 if is_share(unit) else 1.0
    value_RC = np.array([[np.nan if one is None else scale * one.value for one in row] for row in grid.mean_RC])
    texts = [["" if one is None else _text(one, scale) for one in row] for row in grid.mean_RC]
    rows, columns = ([f"{x:g}" for x in values] for values in (grid.rows, grid.columns))
    span = (float(np.nanmin(value_RC)), float(np.nanmax(value_RC)))
    axes = (words(keys[0], "").strip(), words(keys[1], "").strip())
    return matrix_figure(name, f"Heat map over {keys[0]} and {keys[1]}.", rows, columns, value_RC, texts, span, axes)


def _text(mean: Mean, scale: float) -> str:
    places = 1 if scale == 100 else 3
    half = f" ±{scale * (mean.over_prompts[1] - mean.over_prompts[0]) / 2:.{places}f}" if mean.over_prompts else ""
    return f"{scale * mean.value:.{places}f}{half}"
