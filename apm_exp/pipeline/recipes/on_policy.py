"""Recipe: the starting policy makes the pairs that it is trained on."""

from apm_exp.core.types import Policy
from apm_exp.pipeline.graph import Graph
from apm_exp.pipeline.recipes.scored import generated_dataset, kept

SAMPLES = True  # the responses: of the data set, prompts are read


def on_policy(graph: Graph) -> list[Policy]:
    """Return the starting policy and the one that is trained on the kept pairs of its own responses."""
    start = graph.starting_policy()
    prompts = graph.prompts(graph.config["dataset"], graph.choices.dataset)
    return [start, graph.train(start, [kept(graph, generated_dataset(graph, prompts, start))])]
