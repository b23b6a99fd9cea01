"""Turn a configuration into the steps of its run: the recipe and the evaluations are unrolled before any work."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from apm_exp.core import component
from apm_exp.core.digest import FileDigests
from apm_exp.pipeline.choices import Choices
from apm_exp.pipeline.evaluations import add_evaluations
from apm_exp.pipeline.graph import Config, Graph
from apm_exp.pipeline.step import Step, lineage


def unroll(config: Config, choices: Choices, digests: FileDigests) -> dict[str, Step]:
    """Return the steps of a run by name, in the order in which they are built, up to `until`.

    Raises ValueError for a recipe that trains nothing, for an `until` or `rebuild` that names no step of the run, and
    as the recipe does.
    """
    _check_iterations(config)
    graph = Graph(config, choices, digests)
    recipe = component.bind("pipeline", config["pipeline"])
    policies = recipe(graph)
    if len(policies) < 2 or not any(step.kind == "policy" for step in graph.steps.values()):
        raise ValueError(
            f"pipeline._target_={config['pipeline']['_target_']}: trains nothing; it returns no new policy"
        )
    if config["until"] is None or not named(config["until"], graph.steps):
        add_evaluations(graph, policies)
    _check_names(config, graph.steps)
    return up_to(graph.steps, config["until"])


def named(name: str, steps: Mapping[str, Step]) -> list[Step]:
    """Return the steps that have this name or kind."""
    return [step for step in steps.values() if name in (step.name, step.kind)]


def up_to(steps: Mapping[str, Step], until: str | None) -> dict[str, Step]:
    """Return the steps that are needed for those that `until` names; all steps if it is None.

    If `until` names a kind, steps of it that need no training are preferred: until=selection trains nothing.
    """
    if until is None:
        return dict(steps)
    wanted = named(until, steps)
    lines = [lineage(step) for step in wanted]
    early = [line for line in lines if all(step.kind != "policy" for step in line[1:])]
    keys = {step.key for line in early or lines for step in line}
    return {name: step for name, step in steps.items() if step.key in keys}


def _check_iterations(config: Mapping[str, Any]) -> None:
    if config["iterations"] != 1 and "iterations" not in config["pipeline"]:
        target = config["pipeline"]["_target_"]
        problem = f"pipeline._target_={target} has no iterations"
        raise ValueError(f"iterations={config['iterations']}: {problem}; leave it out, or use another pipeline=")


def _check_names(config: Mapping[str, Any], steps: Mapping[str, Step]) -> None:
    for setting, others in (("until", []), ("rebuild", ["none", "all", "report"])):
        name = config[setting]
        if name is not None and name not in others and not named(name, steps):
            raise ValueError(f"{setting}={name}: no step of this run; {_names(name, steps)}")


def _names(wrong: str, steps: Iterable[str]) -> str:
    known = sorted({name.partition(".")[0] for name in steps} | set(steps))
    close = difflib.get_close_matches(wrong, known, n=1)
    return f"did you mean {close[0]}?" if close else f"choose from: {', '.join(known)}"
