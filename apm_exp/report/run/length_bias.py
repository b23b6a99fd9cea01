"""The length bias of the selection: response lengths of the kept pairs and of the others."""

from typing import Any

import numpy as np
from markupsafe import Markup

from apm_exp.report import figure
from apm_exp.report.run.scored_pairs import ScoredPairs

BINS = 40


def length_rows(scored: ScoredPairs) -> list[dict[str, Any]]:
    """Return mean lengths in tokens for the kept pairs, the others, and all; difference: chosen minus rejected."""
    everything_P = np.ones_like(scored.kept_P)
    groups = {"kept": scored.kept_P, "not kept": ~scored.kept_P, "all": everything_P}
    return [_row(scored, name, group_P) for name, group_P in groups.items()]


def _row(scored: ScoredPairs, name: str, group_P: np.ndarray) -> dict[str, Any]:
    pairs = int(group_P.sum())
    if pairs == 0:
        return {"name": name, "pairs": 0}
    chosen, rejected = scored.chosen_len_P[group_P], scored.rejected_len_P[group_P]
    difference = chosen - rejected
    error = float(difference.std(ddof=1) / np.sqrt(pairs)) if pairs > 1 else None
    return {
        "name": name,
        "pairs": pairs,
        "chosen": float(chosen.mean()),
        "rejected": float(rejected.mean()),
        "difference": float(difference.mean()),
        "standard_error": error,
        "longer": float((difference > 0).mean()),
    }


def length_figure(scored: ScoredPairs) -> Markup:
    """Return the distribution of the length difference (chosen minus rejected, tokens) of kept and other pairs."""
    difference_P = scored.chosen_len_P - scored.rejected_len_P
    low, high = figure.limits(difference_P)
    edges = _edges(low, high)
    with figure.axes(4.2, 2.8) as ax:
        ax.grid(True, axis="y")
        for group_P, color in ((~scored.kept_P, figure.OTHER), (scored.kept_P, figure.KEPT)):
            if group_P.any():
                counts, _ = np.histogram(np.clip(difference_P[group_P], edges[0], edges[-1]), edges)
                share = 100 * counts / group_P.sum()
                ax.stairs(share, edges, fill=True, color=color, alpha=0.18)
                ax.stairs(share, edges, color=color, linewidth=1.5)
        ax.axvline(0, color=figure.MUTED, linewidth=0.8)
        ax.set(xlim=(edges[0], edges[-1]), xlabel="length of chosen minus rejected (tokens)")
        ax.set_ylabel("% of the group")
        return figure.to_svg(ax, "length-bias", "Distributions of the length difference, kept against not kept.")


def quartile_figure(scored: ScoredPairs) -> Markup:
    """Return a figure of response lengths: the median, the middle half and the middle 90% of each group."""
    groups = ((scored.kept_P, figure.KEPT), (~scored.kept_P, figure.OTHER))
    lengths = {"chosen": scored.chosen_len_P, "rejected": scored.rejected_len_P}
    with figure.axes(4.2, 2.8, left=0.75) as ax:
        ax.grid(True, axis="x")
        for row, lengths_P in enumerate(lengths.values()):
            for offset, (group_P, color) in zip((-0.15, 0.15), groups, strict=True):
                if group_P.any():
                    _spread(ax, lengths_P[group_P], row + offset, color)
        ax.set_yticks(range(len(lengths)), list(lengths))
        ax.set(xlabel="response length (tokens)", ylim=(len(lengths) - 0.5, -0.5))
        ax.spines["left"].set_visible(False)
        return figure.to_svg(ax, "lengths", "Spread of the response lengths, chosen and rejected, kept and not kept.")


def _spread(ax: figure.Axes, lengths: np.ndarray, height: float, color: str) -> None:
    low, first, middle, third, high = np.quantile(lengths, [0.05, 0.25, 0.5, 0.75, 0.95])
    ax.plot([low, high], [height, height], color=color, linewidth=1.2)
    ax.plot([first, third], [height, height], color=color, linewidth=7, alpha=0.55)
    ax.plot([middle], [height], color=color, marker="o", markersize=6)


def _edges(low: float, high: float) -> np.ndarray:
    """Return bin edges of integer width, centered on integers, so that token counts are spread evenly over the bins."""
    width = max(1, int(np.ceil((high - low) / BINS)))
    first = np.floor(low) - 0.5
    return np.arange(first, high + width + 0.5, width)
