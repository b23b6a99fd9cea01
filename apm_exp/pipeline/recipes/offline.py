"""Recipe: train on the pairs of a data set that the keep rule keeps."""

from apm_exp.core.types import Policy
from apm_exp.pipeline.graph import Graph
from apm_exp.pipeline.recipes.scored import kept, score


def offline(graph: Graph) -> list[Policy]:
    """Return the starting policy and the policy that is trained on the kept pairs of the data set."""
    pairs = graph.pairs()
    start = graph.starting_policy(pairs)
    scored = score(graph, pairs, graph.config["reward"], start)
    return [start, graph.train(start, [kept(graph, scored)])]
