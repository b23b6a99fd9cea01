"""Dots with intervals: one score over the arms of a sweep."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from apm_exp.report import figure
from apm_exp.report.scores import is_share

LONGEST_LABEL = 26


@dataclass(frozen=True)
class Arm:
    """One arm: its label, the score's record, and whether an earlier arm already shows the same model."""

    label: str
    record: Mapping[str, Any]
    repeated: bool


def arms_figure(name: str, score: str, arms: list[Arm], reference: float | None) -> Markup:
    """A row for each arm in the given order: value and interval; a dashed line at `reference` where it is known."""
    unit = arms[0].record.get("unit")
    scale = 100.0 if is_share(unit) else 1.0
    labels = [_short(arm.label) for arm in arms]
    left = 0.2 + 0.075 * max(len(label) for label in labels)
    with figure.axes(4.6, 0.75 + 0.22 * len(arms), left=left, bottom=0.45) as ax:
        ax.grid(True, axis="x")
        if reference is not None:
            ax.axvline(scale * reference, color=figure.INK, linewidth=1, linestyle=(0, (4, 3)))
        for row, arm in enumerate(arms):
            _draw(ax, row, arm, scale)
        ax.set_yticks(range(len(arms)), labels)
        ax.locator_params(axis="x", nbins=6)
        words = "%" if is_share(unit) else str(unit or "")
        ax.set(ylim=(len(arms) - 0.4, -0.6), xlabel=f"{score.replace('_', ' ')} ({words})" if words else score)
        ax.spines["left"].set_visible(False)
        return figure.to_svg(ax, name, f"{score} of each arm with its interval.")


def _draw(ax: figure.Axes, row: int, arm: Arm, scale: float) -> None:
    low, high = (scale * bound for bound in arm.record["interval"])
    fill = "none" if arm.repeated else figure.KEPT
    ax.plot([low, high], [row, row], color=figure.KEPT, linewidth=1.6, alpha=0.75)
    value = scale * arm.record["value"]
    ax.plot([value], [row], color=figure.KEPT, marker="o", markersize=5.5, markerfacecolor=fill)


def _short(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"
