"""Recipe: evolve the prompts of the best pairs, and train on all pairs of the old and the new prompts, as eva does."""

from apm_exp.core.types import Policy
from apm_exp.pipeline.changes import Changes
from apm_exp.pipeline.graph import Graph, Part
from apm_exp.pipeline.recipes.scored import generated_dataset, kept
from apm_exp.pipeline.recipes.self_play import ALL, Iteration, evolve, iterate, selected

SAMPLES = EVOLVES = True


def select_then_evolve(graph: Graph, *, iterations: int, changes: Changes | None) -> list[Policy]:
    """Return the policies of the paper's Algorithm 2 (App. B.2), the starting policy first.

    An iteration evolves the prompts of the pairs that the keep rule keeps of D, the pairs of the data set's prompts,
    and trains on D and on all pairs of the evolved prompts. keep=weighted_sample with metric=explicit is eva's own rule
    (arXiv 2411.00062); the paper uses the top k.
    """
    return iterate(graph, iterations, changes, _evolved_from_best)


def _evolved_from_best(graph: Graph, at: Iteration) -> list[Part]:
    scored = generated_dataset(graph, at.prompts, at.policy, at.stream, at.prompts)
    base = kept(graph, scored, ALL)
    with graph.part("to_evolve"):
        best = selected(graph, at.prompts, scored)
    with graph.part("evolved"):
        evolved = evolve(graph, at, best)
        return [base, kept(graph, generated_dataset(graph, evolved, at.policy, at.stream, at.prompts), ALL)]
