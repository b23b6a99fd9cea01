"""Small figures of numbers over the iterations, one line per part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from apm_exp.report import figure
from apm_exp.report.run.iterations.parts import Part

COLORS = (figure.KEPT, figure.SECOND, figure.OTHER)
_MARKERS = "osD"


@dataclass(frozen=True)
class Point:
    """A value of an iteration, with its interval if it has one."""

    iteration: int
    value: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Panel:
    """One figure. number: the attribute of a part."""

    number: str
    title: str
    caption: str


PANELS = (
    Panel("reward", "Reward of the responses", "Mean over all responses, in reward units."),
    Panel("length", "Length of the responses", "Mean over all responses, in tokens."),
    Panel("explicit", "Explicit margin", "Mean over the ranked pairs, chosen minus rejected, in reward units."),
    Panel("implicit", "Implicit margin", "Mean over the ranked pairs, chosen minus rejected, in nats per token."),
    Panel("cut", "Value at the cut", "The lowest kept value of the metric."),
    Panel("share", "Kept share", "Kept pairs of the ranked ones."),
)


def part_figures(parts: Sequence[Part]) -> list[tuple[Panel, Markup]]:
    """Return a figure for each panel in which a part has numbers in two iterations, of the first three parts."""
    names = list(dict.fromkeys(part.name for part in parts))[: len(COLORS)]
    drawn = []
    for panel in PANELS:
        lines = {name: _points(panel.number, [part for part in parts if part.name == name]) for name in names}
        if any(len(points) > 1 for points in lines.values()):
            description = f"{panel.title} over the iterations."
            svg = line_figure(f"iterations-{panel.number}", description, lines, share=panel.number == "share")
            drawn.append((panel, svg))
    return drawn


def _points(number: str, parts: Sequence[Part]) -> list[Point]:
    values = {part.iteration: getattr(part, number) for part in parts}
    return [Point(iteration, value) for iteration, value in values.items() if value is not None]


def line_figure(name: str, description: str, lines: Mapping[str, Sequence[Point]], *, share: bool = False) -> Markup:
    """Return a figure with one line each, in the order of COLORS. share: whether values are shown as percentages."""
    scale = 100.0 if share else 1.0
    with figure.axes(3.3, 2.0, top=0.2) as ax:
        ax.grid(True)
        for points, color, marker in zip(lines.values(), COLORS, _MARKERS, strict=False):
            at, values = [point.iteration for point in points], [scale * point.value for point in points]
            ax.plot(at, values, color=color, marker=marker, markersize=4)
            for point in points:
                if point.interval:
                    bounds = [scale * bound for bound in point.interval]
                    ax.plot([point.iteration] * 2, bounds, color=color, linewidth=1.2, alpha=0.7)
        ax.set_xlabel("iteration")
        if share:
            ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}%")
        ax.locator_params(axis="x", nbins=6, integer=True, min_n_ticks=1)
        ax.locator_params(axis="y", nbins=5)
        ax.margins(x=0.06)
        return figure.to_svg(ax, name, description)
