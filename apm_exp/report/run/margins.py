"""A scatter plot of explicit against implicit margins with the kept pairs marked."""

import numpy as np
from markupsafe import Markup

from apm_exp.report import figure
from apm_exp.report.run.scored_pairs import ScoredPairs

MOST_DOTS = 10_000


def drawn_rows(pairs: int) -> np.ndarray:
    """Return the rows to draw: all, or MOST_DOTS of them evenly spaced in the order of pair_id."""
    return np.unique(np.linspace(0, pairs - 1, min(pairs, MOST_DOTS)).round().astype(int))


def margins_figure(scored: ScoredPairs) -> tuple[Markup, list[str]]:
    """Return the scatter plot (x: explicit margin, y: implicit margin) and notes for its caption.

    Raises ValueError if the pairs have no rewards.
    """
    if scored.explicit_P is None:
        raise ValueError("the pairs have no rewards, so there is no explicit margin to draw")
    rows = drawn_rows(len(scored.value_P))
    kept = scored.kept_P[rows]
    x_limits, y_limits = figure.limits(scored.explicit_P), figure.limits(scored.implicit_P)
    x, y = np.clip(scored.explicit_P[rows], *x_limits), np.clip(scored.implicit_P[rows], *y_limits)
    beyond = int(((x != scored.explicit_P[rows]) | (y != scored.implicit_P[rows])).sum())
    with figure.axes(4.2, 3.2) as ax:
        ax.set(xlim=x_limits, ylim=y_limits, xlabel="explicit margin (reward units)")
        ax.set_ylabel("implicit margin (nats per token)")
        ax.grid(True)
        ax.axhline(0, color=figure.MUTED, linewidth=0.8)
        size = figure.dot_size(len(rows))
        figure.dots(ax, x[~kept], y[~kept], figure.OTHER, opacity=0.55, size=size)
        figure.dots(ax, x[kept], y[kept], figure.KEPT, opacity=0.7, size=size)
        svg = figure.to_svg(ax, "margins", "Scatter of explicit against implicit margins; kept pairs are marked.")
    return svg, _notes(len(scored.value_P), len(rows), beyond)


def _notes(pairs: int, drawn: int, beyond: int) -> list[str]:
    if drawn == pairs:
        return figure.beyond_note(beyond)
    return [
        f"{drawn:,} of the {pairs:,} pairs are drawn, evenly spaced in the order of pair_id.",
        *figure.beyond_note(beyond),
    ]
