"""Functions that recipes share: score pairs, and select those to train on."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core.types import Policy
from apm_exp.pipeline.graph import Graph, Part, Scored
from apm_exp.pipeline.nodes import RECORDED
from apm_exp.pipeline.step import Step


def score(graph: Graph, pairs: Step, reward: Mapping[str, Any], policy: Policy) -> Scored:
    """Add the rewards and log-probs of pairs, and return them with the pairs."""
    scored = Scored(pairs, graph.rewards(pairs, reward), graph.logps(pairs, policy))
    graph.scored.append(scored)
    return scored


def generated_dataset(
    graph: Graph, prompts: Step, policy: Policy, stream: str = "", seeds: Step | None = None
) -> Scored:
    """Return the scored pairs of a policy's responses to prompts: GenDataset(X, policy, r) of the paper, Section 4.

    stream: see Graph.generations. seeds: the prompts of the data set, of which some are held out with all that was
    evolved from them; if None, some of those prompts that give pairs are held out.
    """
    responses = graph.generations(prompts, policy, graph.config["generate"], stream)
    with graph.part("responses"):
        rewards = graph.rewards(responses, graph.config["reward"])
    sampled = {"generations": responses, "rewards": rewards, "pairing": graph.config["pairing"]}
    families = {} if seeds is None else {"seeds": seeds, "prompts": prompts}
    return score(graph, graph.pairs(sampled | families), RECORDED, policy)


def kept(graph: Graph, scored: Scored, keep: Mapping[str, Any] | None = None) -> Part:
    """Return a part to train on: the pairs that the metric and a keep rule select. keep: by default the run's."""
    selection = graph.selection(scored, graph.config["metric"], keep or graph.config["keep"])
    return {"logps": scored.logps, "rewards": scored.rewards, "selection": selection}
