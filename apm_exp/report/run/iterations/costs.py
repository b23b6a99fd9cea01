"""The cost of each iteration: the seconds of its steps by kind."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from apm_exp.core.artifact import Artifact
from apm_exp.core.step_names import evaluation_of, is_rewriting, iteration_in, kind_of

EVALUATION = "evaluation"
PAID = "cost"  # count of a step that asked an endpoint with known prices


def costs(steps: Mapping[str, Artifact], last: int, reused: Collection[str]) -> dict[str, Any]:
    """Return a table of iterations by kinds of steps, in seconds; the first row has the steps of no iteration.

    last: the last iteration, to which the evaluation of the run's policy counts. reused: the names of the steps that
    were not built by the run.
    """
    cells: dict[int, dict[str, list[str]]] = {iteration: {} for iteration in range(last + 1)}
    for name in steps:
        cells[iteration_in(name, steps, last)].setdefault(_kind(name, steps), []).append(name)
    kinds = list(dict.fromkeys(_kind(name, steps) for name in steps))
    return {"kinds": kinds, "rows": [_row(at, by_kind, kinds, steps, reused) for at, by_kind in cells.items()]}


def _kind(name: str, steps: Mapping[str, Artifact]) -> str:
    """Return the column of a step: responses that rewrite prompts count to the prompts."""
    if evaluation_of(name, steps) is not None:
        return EVALUATION
    return "prompts" if is_rewriting(name) else kind_of(name)


def _row(
    iteration: int,
    by_kind: Mapping[str, list[str]],
    kinds: Iterable[str],
    steps: Mapping[str, Artifact],
    reused: Collection[str],
) -> dict[str, Any]:
    names = [name for each in by_kind.values() for name in each]
    again = [name for name in names if name in reused]
    return {
        "iteration": iteration,
        "seconds": [_seconds(by_kind.get(kind, ()), steps) for kind in kinds],
        "total": _seconds(names, steps),
        "paid": sum(steps[name].counts.get(PAID, 0) for name in names),
        "reused": _seconds(again, steps),
        "all_reused": bool(names) and len(again) == len(names),
    }


def _seconds(names: Collection[str], steps: Mapping[str, Artifact]) -> float | None:
    return sum(steps[name].seconds for name in names) if names else None
