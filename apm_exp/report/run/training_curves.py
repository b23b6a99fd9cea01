"""Training curves from a policy's metrics.jsonl: one small figure per logged quantity."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from apm_exp.report import figure

MOST_POINTS = 600


@dataclass(frozen=True)
class Panel:
    """One small figure. lines: (key in metrics.jsonl, name in the legend if there are several)."""

    name: str
    title: str
    caption: str
    lines: tuple[tuple[str, str], ...]


PANELS = (
    Panel("loss", "Loss", "Mean over the pairs of an optimizer step.", (("loss", ""),)),
    Panel("margins", "Reward margin", "Chosen minus rejected, as the loss defines it.", (("rewards/margins", ""),)),
    Panel("accuracies", "Accuracy", "Share of pairs with a positive margin.", (("rewards/accuracies", ""),)),
    Panel("logps", "Log-probabilities", "Nats per token.", (("chosen_logp", "chosen"), ("rejected_logp", "rejected"))),
    Panel(
        "summed-logps",
        "Log-probabilities",
        "Summed over the response, in nats, as TRL logs them.",
        (("logps/chosen", "chosen"), ("logps/rejected", "rejected")),
    ),
    Panel("learning-rate", "Learning rate", "After warm-up and schedule.", (("learning_rate", ""),)),
    Panel("grad-norm", "Gradient norm", "Before clipping.", (("grad_norm", ""),)),
)
_COLORS = (figure.KEPT, figure.SECOND)


def thinned(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Return every n-th row and the last, at most about MOST_POINTS rows, and n."""
    every = math.ceil(len(rows) / MOST_POINTS) or 1
    kept = rows[::every]
    return (kept if not rows or kept[-1] is rows[-1] else [*kept, rows[-1]]), every


def training_figures(rows: list[dict[str, Any]]) -> list[tuple[Panel, Markup]]:
    """Return a figure for each panel with at least one logged line."""
    drawn, _ = thinned(rows)
    panels = [(panel, _logged(panel, drawn)) for panel in PANELS]
    return [(panel, _figure(panel, lines)) for panel, lines in panels if lines]


def _logged(panel: Panel, rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Return the points (optimizer step, value) of each logged line; a missing or non-finite value is a gap."""
    lines = {}
    for key, name in panel.lines:
        points = np.array([(row["step"], _number(row.get(key))) for row in rows], dtype=float).reshape(-1, 2)
        if np.isfinite(points[:, 1]).any():
            lines[name] = points
    return lines


def _number(value: Any) -> float:
    finite = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if finite else math.nan


def _figure(panel: Panel, lines: dict[str, np.ndarray]) -> Markup:
    with figure.axes(3.3, 2.0, top=0.2) as ax:
        ax.grid(True)
        for (_, points), color in zip(lines.items(), _COLORS, strict=False):
            marker = "o" if len(points) <= 24 else ""
            ax.plot(points[:, 0], points[:, 1], color=color, marker=marker, markersize=2.6)
        ax.set_xlabel("optimizer step")
        ax.locator_params(axis="x", nbins=5, integer=True)
        ax.locator_params(axis="y", nbins=5)
        ax.margins(x=0.02)
        return figure.to_svg(ax, f"training-{panel.name}", f"{panel.title} over the optimizer steps.")
