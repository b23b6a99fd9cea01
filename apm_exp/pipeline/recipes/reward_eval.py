"""Recipe: how often a reward source prefers the chosen response of pairs, or how it agrees with ratings."""

from typing import Any

from apm_exp.core.component import name_of
from apm_exp.core.told import told
from apm_exp.core.types import Policy
from apm_exp.pipeline.graph import Graph

TRAINS = False


def reward_eval(graph: Graph, *, evaluation: dict[str, Any], of_ratings: dict[str, Any]) -> list[Policy]:
    """Return no policies: the steps are the pairs, their rewards, the evaluation of these, and its page.

    evaluation: the node of a function that may ask for the pairs and their rewards. of_ratings: that for a data set of
    rated responses (RATED in its module), which may ask for these as `rated`.
    """
    has_ratings = told("dataset", graph.config["dataset"], "RATED")
    responses = graph.rated() if has_ratings else graph.pairs()
    node = of_ratings if has_ratings else evaluation
    rewards = graph.rewards(responses, graph.config["reward"])
    with graph.part(name_of(node)):
        made = graph.evaluation("rewards", node, {responses.kind: responses, "rewards": rewards})
    nodes = {"dataset": responses.inputs["dataset"], "reward": rewards.inputs["reward"], "score": node}
    graph.add("reward_page", made.slug, {"responses": responses, "evaluation": made, "nodes": nodes})
    return []
