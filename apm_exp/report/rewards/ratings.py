"""A scatter plot of rewards against ratings."""

import numpy as np
from markupsafe import Markup

from apm_exp.report import figure
from apm_exp.report.run.margins import drawn_rows


def ratings_figure(rating_N: np.ndarray, reward_N: np.ndarray) -> tuple[Markup, list[str]]:
    """Return the scatter plot and the notes for its caption. Equal ratings are spread a little, so that all show."""
    rows = drawn_rows(len(rating_N))
    steps = np.diff(np.unique(rating_N))
    spread = 0.3 * float(steps.min()) * (np.random.default_rng(0).random(len(rows)) - 0.5)
    y_limits = figure.limits(reward_N)
    x = rating_N[rows] + spread
    with figure.axes(6.0, 2.8) as ax:
        ax.set(xlim=figure.limits(x), ylim=y_limits, xlabel="rating")
        ax.set_ylabel("reward (reward units)")
        ax.grid(True)
        y = np.clip(reward_N[rows], *y_limits)
        figure.dots(ax, x, y, figure.KEPT, opacity=0.5, size=figure.dot_size(len(rows)))
        svg = figure.to_svg(ax, "ratings", "Scatter of rewards against ratings.")
    few = [] if len(rows) == len(rating_N) else [f"{len(rows):,} of {len(rating_N):,} responses are drawn."]
    return svg, few
