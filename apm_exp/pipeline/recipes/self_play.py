"""Functions that the recipes of self-play share: iterations, evolved prompts, prompts of kept pairs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apm_exp.core.told import ask
from apm_exp.core.types import Policy
from apm_exp.pipeline.changes import Changes
from apm_exp.pipeline.graph import Graph, Part, Scored
from apm_exp.pipeline.step import Step

ALL: Mapping[str, Any] = {"_target_": "apm_exp.selection.keep.top_fraction.top_fraction", "fraction": 1.0}
_PROMPTS = "apm_exp.data.evolve"


@dataclass(frozen=True)
class Iteration:
    """The start of an iteration: its number, the prompts of the data set, and the policy that responds.

    stream: of its responses, which are independent of those of other iterations.
    """

    number: int
    prompts: Step
    policy: Policy
    stream: str


PartsOf = Callable[[Graph, Iteration], list[Part]]


def iterate(graph: Graph, iterations: int, changes: Changes | None, parts_of: PartsOf) -> list[Policy]:
    """Return the starting policy, and the policy after each iteration, which trains the one before it.

    parts_of: returns what an iteration trains on. changes: other settings by the number of the iteration.
    """
    policies = [graph.starting_policy()]
    prompts = graph.prompts(graph.config["dataset"], graph.choices.dataset)
    for number in range(1, iterations + 1):
        stream = "" if number == 1 else str(number)
        with graph.part(str(number)), graph.changed((changes or {}).get(number, {})):
            parts = parts_of(graph, Iteration(number, prompts, policies[-1], stream))
            policies.append(graph.train(policies[-1], parts))
    return policies


def evolve(graph: Graph, at: Iteration, prompts: Step) -> Step:
    """Return the prompts that `evolve` makes from others, none of them in the data set: EvolInstruct(X) of the paper.

    If its component asks for replies, the policy responds once to each instruction, by the sampler of the run.
    """
    node, available = graph.config["evolve"], {"prompts": prompts}
    instructions = ask("evolve", node, "instructions_node")
    if instructions is not None:
        with graph.part("instructions"):
            asked = graph.prompts(instructions, "instructions", available)
            once = {**graph.config["generate"], "samples": 1}
            available |= {"instructions": asked, "replies": graph.generations(asked, at.policy, once, at.stream)}
    return graph.prompts(node, f"evolved-{graph.choices.dataset}", available, at.prompts)


def selected(graph: Graph, prompts: Step, scored: Scored) -> Step:
    """Return the prompts of the pairs that the metric and the keep rule of the run keep."""
    selection = graph.selection(scored, graph.config["metric"], graph.config["keep"])
    available = {"prompts": prompts, "scored_pairs": scored.pairs, "selection": selection}
    return graph.prompts({"_target_": f"{_PROMPTS}.selected_prompts.selected_prompts"}, "selected", available)


def united(graph: Graph, prompts: Step, evolved: Step) -> Step:
    """Return the prompts of two steps together."""
    node = {"_target_": f"{_PROMPTS}.united_prompts.united_prompts"}
    return graph.prompts(node, "united", {"prompts": prompts, "evolved": evolved})
