"""The selections of other metrics on the same pairs with the same keep rule, and their overlap with this run's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from apm_exp.core import component
from apm_exp.report import figure
from apm_exp.report.run.scored_pairs import ScoredPairs
from apm_exp.selection.alpha_rules.choose import with_chosen_number, with_rule
from apm_exp.selection.stability import jaccard, jaccard_by_chance

OWN = "this run"


@dataclass(frozen=True, eq=False)
class Choice:
    """The selection of one metric. kept_P: bool, or None if it cannot be computed; `problem` then says why."""

    name: str
    own: bool
    kept_P: np.ndarray | None
    problem: str | None


def choices(
    scored: ScoredPairs,
    compare: Mapping[str, Mapping[str, Any]],
    metric: Mapping[str, Any],
    keep: Mapping[str, Any],
    alpha_rule: Mapping[str, Any] | None = None,
) -> list[Choice]:
    """Return the choice of every metric in `compare`, and this run's own first if `compare` does not contain it.

    alpha_rule: chooses the number of a metric with alpha=auto, from the same pairs as for the run's own.
    """
    result = []
    for name, node in compare.items():
        if dict(node) == dict(metric):
            result.append(Choice(name, True, scored.kept_P, None))
        else:
            result.append(_choice(scored, name, with_rule(node, alpha_rule), keep))
    if not any(choice.own for choice in result):
        result.insert(0, Choice(OWN, True, scored.kept_P, None))
    return result


def _choice(scored: ScoredPairs, name: str, node: Mapping[str, Any], keep: Mapping[str, Any]) -> Choice:
    """Return a metric's choice, with a problem if it cannot score these pairs or if the keep rule raises ValueError."""
    rule = component.bind("keep", keep)
    try:
        score = component.bind(f"compare.{name}", with_chosen_number(node, scored.as_scores(), keep))
        value_P = score(scored.as_scores())["value"]
        return Choice(name, False, rule(value_P, scored.pair_id_P), None)
    except ValueError as error:
        return Choice(name, False, None, str(error))


def overlap_rows(scored: ScoredPairs, found: list[Choice]) -> list[dict[str, Any]]:
    """Return one row per metric: how many pairs it keeps, the overlap with this run's, and the means of its pairs."""
    return [_row(scored, choice) for choice in found]


def _row(scored: ScoredPairs, choice: Choice) -> dict[str, Any]:
    row: dict[str, Any] = {"name": choice.name, "own": choice.own, "problem": choice.problem}
    if choice.kept_P is None:
        return row
    kept_P = choice.kept_P
    explicit = None if scored.explicit_P is None else float(np.abs(scored.explicit_P[kept_P]).mean())
    return row | {
        "kept": int(kept_P.sum()),
        "shared": int((kept_P & scored.kept_P).sum()),
        "share": float((kept_P & scored.kept_P).sum() / scored.kept_P.sum()),
        "jaccard": jaccard(kept_P, scored.kept_P),
        "by_chance": jaccard_by_chance(int(kept_P.sum()), int(scored.kept_P.sum()), len(kept_P)),
        "explicit": explicit,
        "implicit": float(np.abs(scored.implicit_P[kept_P]).mean()),
    }


def overlap_figure(found: list[Choice]) -> Markup:
    """Return a matrix of Jaccard indices between the metrics that can score these pairs."""
    drawn = [(choice.name, choice.kept_P) for choice in found if choice.kept_P is not None]
    size = len(drawn)
    left = 0.16 + 0.07 * max(len(name) for name, _ in drawn)
    with figure.axes(4.2, 0.35 + 0.38 * size, left=left, bottom=0.05, top=0.3) as ax:
        for row, (_, first_P) in enumerate(drawn):
            for column, (_, second_P) in enumerate(drawn):
                _cell(ax, row, column, jaccard(first_P, second_P))
        names = [name for name, _ in drawn]
        ax.set(xlim=(0, size), ylim=(size, 0))
        ax.set_xticks(np.arange(size) + 0.5, names)
        ax.set_yticks(np.arange(size) + 0.5, names)
        ax.spines[:].set_visible(False)
        ax.xaxis.tick_top()
        return figure.to_svg(ax, "overlap", "Matrix of Jaccard indices between what the metrics keep.")


def _cell(ax: figure.Axes, row: int, column: int, value: float) -> None:
    box = figure.Rectangle((column + 0.03, row + 0.04), 0.94, 0.92, facecolor=figure.KEPT, alpha=0.06 + 0.5 * value)
    ax.add_artist(box)
    ax.text(column + 0.5, row + 0.5, f"{value:.2f}", ha="center", va="center", color=figure.INK)
