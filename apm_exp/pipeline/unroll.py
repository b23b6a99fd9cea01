"""Turn a configuration into the steps of its run: the recipe and the evaluations are unrolled before any work."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from apm_exp.core import component
from apm_exp.core.digest import FileDigests
from apm_exp.core.step_names import kind_of
from apm_exp.core.types import Policy
from apm_exp.pipeline.choices import Choices
from apm_exp.pipeline.evaluations import add_evaluations
from apm_exp.pipeline.graph import Config, Graph
from apm_exp.pipeline.nodes import has_policy
from apm_exp.pipeline.stage_table import STAGES
from apm_exp.pipeline.step import Step, lineage


def unroll(config: Config, choices: Choices, digests: FileDigests) -> dict[str, Step]:
    """Return the steps of a run by name, in the order in which they are built, up to `until`.

    Raises ValueError for a recipe that returns no policies or trains nothing, unless its module says TRAINS = False;
    for an `until` or `rebuild` that names no step of the run, and as the recipe does.
    """
    _check_iterations(config)
    graph = Graph(config, choices, digests)
    recipe = component.bind("pipeline", config["pipeline"])
    policies = recipe(graph)
    if has_policy(config):
        _check_policies(policies, graph)
    if policies and (config["until"] is None or not named(config["until"], graph.steps)):
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
        problem = f"pipeline={component.name_of(config['pipeline'])} has no iterations"
        remedy = "leave it out, or use one that has, such as pipeline=evolve_then_select"
        raise ValueError(f"iterations={config['iterations']}: {problem}; {remedy}")


def _check_policies(policies: Any, graph: Graph) -> None:
    """Raise ValueError if a recipe does not return policies, or if it trains nothing."""
    where = f"pipeline._target_={graph.config['pipeline']['_target_']}"
    remedy = "return a list of the starting policy and of what graph.train returns"
    if not isinstance(policies, list) or not all(isinstance(each, Policy) for each in policies):
        raise ValueError(f"{where}: returns no list of policies; {remedy}")
    trained = [step for step in graph.steps.values() if step.kind == "policy"]
    if len(policies) < 2 or not trained:
        raise ValueError(f"{where}: trains nothing; {remedy}")
    if without := [step.name for step in trained if not step.inputs["parts"]]:
        raise ValueError(f"{where}: its step {without[0]} has no pairs to train on; give graph.train at least one part")


def _check_names(config: Mapping[str, Any], steps: Mapping[str, Step]) -> None:
    for setting, others in (("until", []), ("rebuild", ["none", "all", "report"])):
        name = config[setting]
        if name is not None and name not in others and not named(name, steps):
            raise ValueError(f"{setting}={name}: no step of this run; {_names(name, steps)}")


def _names(wrong: str, steps: Iterable[str]) -> str:
    """Return the name that was meant; those of the kind if that is known; or else all."""
    known = sorted({kind_of(name) for name in steps} | set(steps))
    kind = kind_of(wrong)
    close = [] if kind in known or kind in STAGES else difflib.get_close_matches(wrong, known, n=1)
    of_kind = [name for name in known if kind_of(name) == kind]
    return f"did you mean {close[0]}?" if close else f"choose from: {', '.join(of_kind or known)}"
