"""A heat map of a matrix with the numbers in its cells."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from apm_exp.report import figure

MOST_WITH_NUMBERS = 14


def matrix_figure(
    name: str,
    description: str,
    rows: Sequence[str],
    columns: Sequence[str],
    value_RC: np.ndarray,
    texts: Sequence[Sequence[str]],
    span: tuple[float, float],
    axes: tuple[str, str] = ("", ""),
) -> Markup:
    """Return a heat map shaded from the low to the high end of `span`; NaN is an empty cell.

    texts: the text of each cell, omitted if there are too many columns to read. axes: names of the rows and of the
    columns.
    """
    low, high = span
    left = 0.16 + 0.07 * max(len(label) for label in rows) + (0.18 if axes[0] else 0)
    tilted = sum(len(label) + 2 for label in columns) * 0.07 > 4.6 - left
    top = 0.16 + (0.055 * max(len(label) for label in columns) if tilted else 0.14) + (0.18 if axes[1] else 0)
    height = 0.30 if len(rows) > 8 else 0.38
    with figure.axes(4.8, top + 0.05 + height * len(rows), left=left, bottom=0.05, top=top) as ax:
        for row, column in np.argwhere(np.isfinite(value_RC)):
            shade = (value_RC[row, column] - low) / (high - low) if high > low else 0.5
            _cell(ax, int(row), int(column), float(shade))
            if len(columns) <= MOST_WITH_NUMBERS:
                _write(ax, int(row), int(column), texts[row][column], len(columns))
        ax.set(xlim=(0, len(columns)), ylim=(len(rows), 0), ylabel=axes[0])
        ax.set_xticks(
            np.arange(len(columns)) + 0.5, columns, rotation=50 if tilted else 0, ha="left" if tilted else "center"
        )
        ax.set_yticks(np.arange(len(rows)) + 0.5, rows)
        ax.spines[:].set_visible(False)
        ax.xaxis.tick_top()
        ax.set_xlabel(axes[1])
        ax.xaxis.set_label_position("top")
        return figure.to_svg(ax, name, description)


def _cell(ax: figure.Axes, row: int, column: int, shade: float) -> None:
    corner, alpha = (column + 0.03, row + 0.04), 0.06 + 0.5 * min(1.0, max(0.0, shade))
    ax.add_artist(figure.Rectangle(corner, 0.94, 0.92, facecolor=figure.KEPT, alpha=alpha))


def _write(ax: figure.Axes, row: int, column: int, text: str, columns: int) -> None:
    size = 9 if columns <= 6 else 7.5 if columns <= 10 else 6
    ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=figure.INK, fontsize=size)
