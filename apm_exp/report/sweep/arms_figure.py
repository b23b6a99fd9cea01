"""A figure of a score, or of its difference from the baseline, for each arm of a sweep."""

from dataclasses import dataclass

from markupsafe import Markup

from apm_exp.report import figure
from apm_exp.report.scores import is_share

LONGEST_LABEL = 30
Interval = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """One arm. bar: its interval. ticks: the value of each seed."""

    label: str
    value: float
    bar: Interval | None
    ticks: tuple[float, ...] = ()


def arms_figure(name: str, axis: str, unit: str | None, rows: list[Row], reference: float | None) -> Markup:
    """Return a figure with one row per arm in the given order, and a dashed line at `reference` unless it is None."""
    scale = 100.0 if is_share(unit) else 1.0
    labels = [_short(row.label) for row in rows]
    left = 0.2 + 0.075 * max(len(label) for label in labels)
    with figure.axes(4.8, 0.75 + 0.24 * len(rows), left=left, bottom=0.45) as ax:
        ax.grid(True, axis="x")
        if reference is not None:
            ax.axvline(scale * reference, color=figure.INK, linewidth=1, linestyle=(0, (4, 3)))
        ax.set_xlim(*_limits(rows, reference, scale))
        for place, row in enumerate(rows):
            _draw(ax, place, row, scale)
        ax.set_yticks(range(len(rows)), labels)
        ax.locator_params(axis="x", nbins=6)
        ax.set(ylim=(len(rows) - 0.4, -0.6), xlabel=axis)
        ax.spines["left"].set_visible(False)
        return figure.to_svg(ax, name, f"{axis} of each arm with its interval.")


def _limits(rows: list[Row], reference: float | None, scale: float) -> Interval:
    values = [value for row in rows for value in (row.value, *(row.bar or ()), *row.ticks)]
    values += [] if reference is None else [reference]
    margin = 0.08 * (max(values) - min(values)) or 0.5 / scale
    return scale * (min(values) - margin), scale * (max(values) + margin)


def _draw(ax: figure.Axes, place: int, row: Row, scale: float) -> None:
    if row.bar:
        ax.plot([scale * bound for bound in row.bar], [place, place], color=figure.KEPT, linewidth=3, alpha=0.55)
    for tick in row.ticks if len(row.ticks) > 1 else ():
        ax.plot([scale * tick] * 2, [place - 0.22, place + 0.22], color=figure.MUTED, linewidth=1)
    ax.plot([scale * row.value], [place], color=figure.KEPT, marker="o", markersize=5.5)


def _short(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"
