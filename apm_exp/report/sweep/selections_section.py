"""The section on a sweep's selections: their overlaps and their stability."""

from pathlib import Path
from typing import Any

from apm_exp.report.compare.arms import Arm
from apm_exp.report.matrix_figure import MOST_WITH_NUMBERS, matrix_figure
from apm_exp.report.sweep.selections import Selected, overlaps, selections_of, stability
from apm_exp.selection.stability import jaccard_by_chance

Context = dict[str, Any]


def selection_section(root: Path, arms: list[Arm]) -> Context | None:
    """Return the template's context, or None if no job finished. A selection that cannot be read is a row with a
    problem.
    """
    selections = selections_of(root, arms)
    if not selections:
        return None
    readable = [selected for selected in selections if selected.path.is_file()]
    return {
        "rows": [_row(selected) for selected in selections],
        "overlap": _overlap(readable) if len(readable) > 1 else None,
        "alpha": any("alpha" in selected.job["metric"] for selected in selections),
    }


def _overlap(selections: list[Selected]) -> Context:
    value_SS = overlaps(selections)
    labels = [selected.label for selected in selections]
    texts = [[f"{value:.2f}" for value in row] for row in value_SS]
    svg = matrix_figure("overlap", "Jaccard indices of the selections.", labels, labels, value_SS, texts, (0.0, 1.0))
    first = selections[0].counts
    return {
        "svg": svg,
        "labels": labels,
        "texts": texts,
        "numbers": len(labels) <= MOST_WITH_NUMBERS,
        "by_chance": jaccard_by_chance(first["kept"], first["kept"], first["pairs"]),
        "first": labels[0],
    }


def _row(one: Selected) -> Context:
    made: Context = {"label": one.label, "kept": one.counts["kept"], "pairs": one.counts["pairs"], "problem": None}
    try:
        return made | stability(one)
    except (ValueError, OSError) as error:
        return made | {"problem": " ".join(str(error).split())}
