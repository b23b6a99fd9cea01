"""The evaluations of a run as steps: each is one function, or prompts, responses, judgements and a score."""

from collections.abc import Mapping, Sequence
from typing import Any

from apm_exp.core.types import Policy
from apm_exp.pipeline.graph import Graph

STAGED = ("prompts", "generate", "judge", "score")  # the nodes of an evaluation that is more than one function


def add_evaluations(graph: Graph, policies: Sequence[Policy]) -> None:
    """Add the evaluations of the last policy against the first, each in a part of its own."""
    policy, start = policies[-1], policies[0]
    available: dict[str, Any] = {"policy": policy, "starting_policy": start}
    if graph.scored:
        first = graph.scored[0]
        available |= {"pairs": first.pairs, "logps": first.logps, "rewards": first.rewards}
    for name, node in (graph.config["evals"] or {}).items():
        with graph.part(name):
            if "_target_" in node:
                graph.evaluation(name, node, available)
            else:
                graph.evaluation(name, node["score"], available | _judged(graph, name, node, policy, start))


def _judged(graph: Graph, name: str, node: Mapping[str, Any], policy: Policy, start: Policy) -> dict[str, Any]:
    """Return the responses of both policies and their judgements.

    The starting policy's are of another stream, so that the two policies are compared by independent responses, and are
    the same steps in all jobs of a sweep.
    """
    prompts = graph.prompts(node["prompts"], name)
    responses = {"policy": graph.generations(prompts, policy, node["generate"])}
    judgements = {"policy": graph.rewards(responses["policy"], node["judge"])}
    with graph.part("starting"):
        responses["starting_policy"] = graph.generations(prompts, start, node["generate"], stream="starting")
        judgements["starting_policy"] = graph.rewards(responses["starting_policy"], node["judge"])
    return {"responses": responses, "judgements": judgements}
