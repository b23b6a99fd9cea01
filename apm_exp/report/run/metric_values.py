"""A histogram of the metric over the training pairs, with the cut between kept and other pairs."""

from math import ceil, floor

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from apm_exp.report import figure
from apm_exp.report.run.scored_pairs import ScoredPairs
from apm_exp.report.scores import minus

BINS = 48


def ties_at_cut(scored: ScoredPairs) -> tuple[int, int]:
    """Return how many kept and how many other pairs have exactly the value of the cut."""
    tied_P = scored.value_P == scored.cut
    return int((tied_P & scored.kept_P).sum()), int((tied_P & ~scored.kept_P).sum())


def metric_figure(scored: ScoredPairs, metric: str) -> Markup:
    """Return a histogram of the metric, kept pairs stacked on the others, with a line at the smallest kept value."""
    edges = bin_edges(*figure.limits(scored.value_P), scored.cut)
    low, high = float(edges[0]), float(edges[-1])
    clipped_P = np.clip(scored.value_P, low, high)
    other, _ = np.histogram(clipped_P[~scored.kept_P], edges)
    kept, _ = np.histogram(clipped_P[scored.kept_P], edges)
    with figure.axes(4.2, 3.2) as ax:
        ax.grid(True, axis="y")
        ax.stairs(other, edges, fill=True, color=figure.OTHER, alpha=0.75)
        ax.stairs(other + kept, edges, baseline=other, fill=True, color=figure.KEPT, alpha=0.9)
        ax.axvline(scored.cut, color=figure.INK, linewidth=1.1, linestyle=(0, (4, 3)))
        _label_cut(ax, scored.cut, (low + high) / 2)
        ax.set_ylim(0, 1.1 * int((other + kept).max()))  # room for the label
        ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        ax.yaxis.set_major_formatter("{x:,.0f}")
        ax.set(xlim=(low, high), xlabel=f"{metric} (higher is kept first)", ylabel="pairs")
        return figure.to_svg(ax, "metric-values", f"Histogram of {metric} with the cut at {scored.cut:.4g}.")


def bin_edges(low: float, high: float, cut: float) -> np.ndarray:
    """Return the edges of the bins: one is at the cut, so that no bin has values on both sides of it."""
    width = (high - low) / BINS
    edges: np.ndarray = cut + width * np.arange(floor((low - cut) / width), ceil((high - cut) / width) + 1)
    return edges


def _label_cut(ax: figure.Axes, cut: float, middle: float) -> None:
    """Label the line on the side with more space."""
    left = cut > middle
    ax.annotate(
        f"cut {minus(f'{cut:.3g}')}",
        (cut, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if left else 4, -2),
        textcoords="offset points",
        ha="right" if left else "left",
        va="top",
    )
