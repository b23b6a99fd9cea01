"""Figures as inline SVG with the colors and the font of the surrounding page, in light and dark mode.

matplotlib draws with the light theme's colors; in the SVG each becomes a CSS variable with that color as fallback. Text
remains text. The output is deterministic: no date, fixed ids.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

__all__ = ["Axes", "Rectangle", "axes", "beyond", "dots", "limits", "to_svg"]
INK, MUTED, RULE = "#1f2328", "#59636e", "#d5dbe1"
KEPT, OTHER, SECOND = "#0b62c4", "#8a939d", "#b34a00"
_VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule", KEPT: "kept", OTHER: "other", SECOND: "second"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "apm_exp",
    "text.parse_math": False,
    "path.simplify": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.limits": (-3, 5),
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@contextmanager
def axes(width: float, height: float, *, left: float = 0.52, bottom: float = 0.42, top: float = 0.1) -> Iterator[Axes]:
    """Yield the axes of a new figure of `width` x `height` inches in the report's style.

    left, bottom, top: margins in inches for labels; they are fixed, so that adjacent figures align. Draw and call
    `to_svg` inside the context.
    """
    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height))
        right = 0.08
        box = (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
        yield figure.add_axes(box)


def to_svg(ax: Axes, name: str, description: str) -> Markup:
    """Return the figure of `ax` as an inline <svg>; `name` makes its ids unique on the page.

    description: the text alternative for screen readers.
    """
    buffer = io.StringIO()
    figure = ax.figure
    assert isinstance(figure, Figure)
    figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    body = buffer.getvalue()
    view_box = re.search(r'viewBox="([^"]+)"', body)
    assert view_box is not None
    inner = _slimmed(body[body.index("<g ") : body.rindex("</svg>")], f"figure-{name}")
    label = str(Markup.escape(description))
    opening = f'<svg id="figure-{name}" viewBox="{view_box[1]}" role="img" aria-label="{label}">'
    return Markup(f"{opening}{inner}</svg>")


def _slimmed(svg: str, name: str) -> str:
    """Return the SVG with colors as variables, the page's font, one decimal, and only referenced ids, made unique."""
    used = set(re.findall(r'(?:href="|url\()#([\w-]+)', svg))
    svg = re.sub(r' id="([\w.-]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r'(xlink:href="|url\()#', lambda m: f"{m[1]}#{name}-", svg).replace("xlink:href", "href")
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub(r"font: [^;\"]*?([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"', "", svg)
    svg = re.sub(r' (?:d|x|y|width|height|transform)="[^"]*"', lambda m: _rounded(m[0]), svg)
    svg = re.sub(r"M ([\d.-]+) ([\d.-]+) \nL \1 \2 (?=\n|\")", r"M\1 \2h0", svg)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, f"var(--{variable}, {color})")
    return svg


def _rounded(attribute: str) -> str:
    return re.sub(r"-?\d+\.\d{2,}", lambda m: f"{float(m[0]):.1f}".removesuffix(".0"), attribute)


def dot_size(points: int) -> float:
    """Return the diameter in points of each of so many dots."""
    return 2.6 if points > 1000 else 4.0 if points > 100 else 6.0


def dots(ax: Axes, x: np.ndarray, y: np.ndarray, color: str, *, opacity: float, size: float = 2.6) -> None:
    """Draw points as round dots in a few long paths, which takes about 15 bytes per point.

    They are distributed over four paths, as overlaps within one path do not get darker.
    """
    for part in range(4):
        points = np.column_stack([x[part::4], y[part::4]])
        if len(points):
            path = Path(np.repeat(points, 2, axis=0), np.tile([Path.MOVETO, Path.LINETO], len(points)))
            patch = PathPatch(path, fill=False, edgecolor=color, alpha=opacity, linewidth=size, capstyle="round")
            ax.add_artist(patch).set_clip_on(False)


def limits(values: np.ndarray) -> tuple[float, float]:
    """Return axis limits: the full range, or the middle 99% if a few outliers would more than double it.

    Values that are not finite are ignored.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    inner_low, inner_high = np.quantile(values, [0.005, 0.995])
    if high - low > 2 * (inner_high - inner_low) > 0:
        low, high = float(inner_low), float(inner_high)
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def beyond(values: np.ndarray) -> int:
    """Return how many values lie outside the axis limits and are drawn at the edge."""
    low, high = limits(values)
    return int(((values < low) | (values > high)).sum())


def beyond_note(count: int) -> list[str]:
    """Return a sentence about values beyond the axes, if there are any."""
    if count == 0:
        return []
    return [f"{count:,} {'pair' if count == 1 else 'pairs'} beyond the axes drawn at the edge."]
