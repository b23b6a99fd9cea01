"""Recipe: how often a reward source prefers the chosen response of the pairs of a data set. Nothing is trained."""

from typing import Any

from apm_exp.core.component import name_of
from apm_exp.core.types import Policy
from apm_exp.pipeline.graph import Graph

TRAINS = False


def reward_eval(graph: Graph, *, evaluation: dict[str, Any]) -> list[Policy]:
    """Return no policies: the steps are the pairs, their rewards, the evaluation of these, and its page.

    evaluation: the node of a function that may ask for the pairs and their rewards.
    """
    pairs = graph.pairs()
    rewards = graph.rewards(pairs, graph.config["reward"])
    with graph.part(name_of(evaluation)):
        made = graph.evaluation("rewards", evaluation, {"pairs": pairs, "rewards": rewards})
    nodes = {"dataset": pairs.inputs["dataset"], "reward": rewards.inputs["reward"], "score": evaluation}
    graph.add("reward_page", made.slug, {"pairs": pairs, "evaluation": made, "nodes": nodes})
    return []
