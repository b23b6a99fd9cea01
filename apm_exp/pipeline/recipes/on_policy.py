"""Recipe: train on pairs of the starting policy's own responses."""

from apm_exp.core.types import Policy
from apm_exp.pipeline.graph import Graph
from apm_exp.pipeline.recipes.scored import generated_dataset, kept

SAMPLES = True  # only the prompts of the data set are read


def on_policy(graph: Graph) -> list[Policy]:
    """Return the starting policy and the policy that is trained on the kept pairs of its responses."""
    start = graph.starting_policy()
    prompts = graph.prompts(graph.config["dataset"], graph.choices.dataset)
    return [start, graph.train(start, [kept(graph, generated_dataset(graph, prompts, start))])]
