"""The section of a run's page on its iterations: numbers by iteration and part, evolved prompts, scores, cost."""

from collections.abc import Collection, Mapping
from typing import Any

from apm_exp.core.artifact import Artifact
from apm_exp.core.step_names import last_of
from apm_exp.report.run.iterations.costs import costs
from apm_exp.report.run.iterations.evolved import evolved_prompts
from apm_exp.report.run.iterations.figures import COLORS, part_figures
from apm_exp.report.run.iterations.parts import parts_of, words
from apm_exp.report.run.iterations.scores import scores_by_iteration


def iterations(
    steps: Mapping[str, Artifact], config: Mapping[str, Any], reused: Collection[str]
) -> dict[str, Any] | None:
    """Return the context of the section; None if the run has no iterations.

    steps: the artifacts of a run by the names of the steps. reused: the names of those that it has not built.
    """
    parts = parts_of(steps)
    if not parts:
        return None
    last = max(part.iteration for part in parts)
    names = list(dict.fromkeys(part.name for part in parts))
    return {
        "number": last,
        "trained": last_of(steps, "policy") is not None,
        "rows": [{"part": words(part.name), "of": part} for part in parts],
        "figures": part_figures(parts),
        "legend": [words(name) for name in names[: len(COLORS)]],
        "undrawn": [words(name) for name in names[len(COLORS) :]],
        "scores": scores_by_iteration(steps, last),
        "evolved": evolved_prompts(steps, config.get("evolve") or {}, config["seed"]),
        "cost": costs(steps, last, reused),
    }
