"""Recipe: train on all pairs of the data set's prompts, and on the best pairs of prompts evolved from them."""

from typing import Literal

from apm_exp.core.types import Policy
from apm_exp.pipeline.changes import Changes
from apm_exp.pipeline.graph import Graph, Part
from apm_exp.pipeline.recipes.scored import generated_dataset, kept
from apm_exp.pipeline.recipes.self_play import ALL, Iteration, evolve, iterate, united

SAMPLES = EVOLVES = True


def evolve_then_select(
    graph: Graph, *, iterations: int, changes: Changes | None, select_from: Literal["evolved", "all"]
) -> list[Policy]:
    """Return the policies of the paper's Algorithm 1, the starting policy first.

    An iteration trains on D and D'_k: all pairs of the data set's prompts, and those pairs of the evolved prompts that
    the keep rule keeps. (The algorithm's line for D'_k filters D; the text and the tables filter D'.) With
    select_from="all", it trains on those that the keep rule keeps of D and D' together, as in the paper's Section 5.2.
    """
    parts = _best_of_evolved if select_from == "evolved" else _best_of_all
    return iterate(graph, iterations, changes, parts)


def _best_of_evolved(graph: Graph, at: Iteration) -> list[Part]:
    base = kept(graph, generated_dataset(graph, at.prompts, at.policy, at.stream, at.prompts), ALL)
    with graph.part("evolved"):
        evolved = evolve(graph, at, at.prompts)
        return [base, kept(graph, generated_dataset(graph, evolved, at.policy, at.stream, at.prompts))]


def _best_of_all(graph: Graph, at: Iteration) -> list[Part]:
    with graph.part("evolved"):
        evolved = evolve(graph, at, at.prompts)
    with graph.part("all"):
        both = united(graph, at.prompts, evolved)
        return [kept(graph, generated_dataset(graph, both, at.policy, at.stream, at.prompts))]
