"""A histogram of reward margins: to the left of 0, the rejected response has the higher reward."""

import numpy as np
from markupsafe import Markup

from apm_exp.report import figure

_BARS = 41


def margins_figure(margin_P: np.ndarray) -> tuple[Markup, list[str]]:
    """Return the histogram and the notes for its caption. No bar has margins of both signs; ties are one of their own
    if all pairs are tied.
    """
    low, high = figure.limits(margin_P)
    width = (high - low) / _BARS
    edges = np.arange(np.floor(low / width), np.ceil(high / width) + 1) * width
    edges[np.abs(edges) < width / 2] = 0.0
    counted, _ = np.histogram(np.clip(margin_P, edges[0], edges[-1]), edges)
    colors = [figure.SECOND if right <= 0 else figure.KEPT for right in edges[1:]]
    with figure.axes(6.0, 2.4) as ax:
        ax.bar(edges[:-1], counted, width, align="edge", color=colors, linewidth=0)
        ax.set(xlim=(edges[0], edges[-1]), xlabel="reward of chosen minus that of rejected (reward units)")
        ax.set_ylabel("pairs")
        ax.axvline(0, color=figure.MUTED, linewidth=0.8)
        svg = figure.to_svg(ax, "reward-margins", "Histogram of the reward margins of the pairs.")
    return svg, figure.beyond_note(figure.beyond(margin_P))
