"""What recipes share: pairs that are scored, and those of them that are kept."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core.types import Policy
from apm_exp.pipeline.graph import Graph, Part, Scored
from apm_exp.pipeline.nodes import RECORDED
from apm_exp.pipeline.step import Step


def score(graph: Graph, pairs: Step, reward: Mapping[str, Any], policy: Policy) -> Scored:
    """Return pairs with their rewards and log-probs."""
    scored = Scored(pairs, graph.rewards(pairs, reward), graph.logps(pairs, policy))
    graph.scored.append(scored)
    return scored


def generated_dataset(graph: Graph, prompts: Step, policy: Policy, stream: str = "") -> Scored:
    """Return the scored pairs of a policy's responses to prompts: GenDataset(X, policy, r) of the paper, Section 4.

    stream: see Graph.generations.
    """
    responses = graph.generations(prompts, policy, graph.config["generate"], stream)
    with graph.part("responses"):
        rewards = graph.rewards(responses, graph.config["reward"])
    pairs = graph.pairs({"generations": responses, "rewards": rewards, "pairing": graph.config["pairing"]})
    return score(graph, pairs, RECORDED, policy)


def kept(graph: Graph, scored: Scored, keep: Mapping[str, Any] | None = None) -> Part:
    """Return the pairs that a keep rule (the configuration's unless given) keeps by the metric, to train on."""
    selection = graph.selection(scored, graph.config["metric"], keep or graph.config["keep"])
    return {"logps": scored.logps, "rewards": scored.rewards, "selection": selection}
