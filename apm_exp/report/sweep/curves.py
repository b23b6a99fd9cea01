"""Curves of a score over a swept numeric setting."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from apm_exp.report import figure
from apm_exp.report.compare.arms import Arm, words
from apm_exp.report.compare.paired import Mean
from apm_exp.report.scores import is_share
from apm_exp.report.sweep.numeric_settings import numbers_of

MOST_LINES = 6
_STYLES = list(itertools.product(((0, ()), (0, (4, 2)), (0, (1, 1.5))), (figure.KEPT, figure.SECOND)))
_MARKERS = "osD^vP"


@dataclass(frozen=True)
class Line:
    """The arms that differ only in one number. points: number -> the arm's mean."""

    label: str
    points: Mapping[float, Mean]


def lines_over(key: str, arms: list[Arm], means: list[Mean | None]) -> list[Line]:
    """Return one line for each combination of the other settings with at least two points.

    An arm that several values give (if it does not depend on the setting) is a point at each of them.
    """
    lines: dict[str, dict[float, Mean]] = {}
    for arm, mean in zip(arms, means, strict=True):
        others = [words(other, *values) for other, values in arm.settings.items() if other != key and len(values) == 1]
        if mean is not None:
            points = lines.setdefault(", ".join(others), {})
            points |= dict.fromkeys(numbers_of(arm, key), mean)
    return [Line(label, dict(sorted(points.items()))) for label, points in lines.items() if len(points) > 1]


def curve_figure(name: str, key: str, axis: str, unit: str | None, lines: list[Line]) -> Markup:
    """Return a figure of means with intervals over a setting's values, on a log scale if they span a decade."""
    scale = 100.0 if is_share(unit) else 1.0
    ticks = sorted({x for line in lines for x in line.points})
    logarithmic = ticks[0] > 0 and ticks[-1] >= 10 * ticks[0]
    named = len(lines) > 1 or lines[0].label
    with figure.axes(4.4, 2.9 + 0.17 * len(lines) * bool(named), left=0.6, bottom=0.45, top=0.12) as ax:
        ax.grid(True)
        if logarithmic:
            ax.set_xscale("log")
        for place, line in enumerate(lines[:MOST_LINES]):
            _draw(ax, line, place, _shifted(line.points, place, min(len(lines), MOST_LINES), ticks, logarithmic), scale)
        ax.set_xticks(ticks, [f"{x:g}" for x in ticks])
        ax.minorticks_off()
        ax.set(xlabel=words(key, "").strip(), ylabel=axis)
        if named:
            low, high = ax.get_ylim()
            ax.set_ylim(low, high + (high - low) * 0.085 * len(lines))
            ax.legend(frameon=False, loc="upper left", fontsize=8, labelcolor=figure.MUTED, borderaxespad=0.1)
        return figure.to_svg(ax, name, f"{axis} over {key}.")


def _shifted(
    points: Mapping[float, Mean], place: int, lines: int, ticks: list[float], logarithmic: bool
) -> list[float]:
    """Return the x positions of a line's points, shifted so that intervals of different lines do not overlap."""
    part = (place - (lines - 1) / 2) * 0.012
    if logarithmic:
        return [x * (ticks[-1] / ticks[0]) ** part for x in points]
    return [x + part * (ticks[-1] - ticks[0]) for x in points]


def _draw(ax: figure.Axes, line: Line, place: int, x: list[float], scale: float) -> None:
    style, color = _STYLES[place]
    values = [scale * mean.value for mean in line.points.values()]
    for at, mean in zip(x, line.points.values(), strict=True):
        if mean.over_prompts:
            ax.plot([at, at], [scale * bound for bound in mean.over_prompts], color=color, linewidth=1.2, alpha=0.7)
    marker = _MARKERS[place]
    ax.plot(x, values, color=color, linestyle=style, marker=marker, markersize=4.5, label=line.label or None)
