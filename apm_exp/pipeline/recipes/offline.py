"""Recipe: train on the best of a data set's own pairs."""

from apm_exp.core.types import Policy
from apm_exp.pipeline.graph import Graph
from apm_exp.pipeline.recipes.scored import kept, score


def offline(graph: Graph) -> list[Policy]:
    """Return the starting policy and the one that is trained on the kept pairs of the data set."""
    pairs = graph.pairs()
    start = graph.starting_policy(pairs)
    scored = score(graph, pairs, graph.config["reward"], start)
    return [start, graph.train(start, [kept(graph, scored)])]
