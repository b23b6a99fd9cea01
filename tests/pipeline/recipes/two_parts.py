"""A recipe of the tests: iterations that train on all pairs of one set of prompts and on the best of another."""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated

from pydantic import Field

from apm_exp.core.types import Policy
from apm_exp.data.sources.rows import SourceRow
from apm_exp.data.worlds.micro_world.splits import draw_tasks
from apm_exp.pipeline.graph import Graph
from apm_exp.pipeline.recipes.scored import generated_dataset, kept

SAMPLES = True
ALL = {"_target_": "apm_exp.selection.keep.top_fraction.top_fraction", "fraction": 1.0}


def two_parts(graph: Graph, *, iterations: Annotated[int, Field(ge=1)]) -> list[Policy]:
    """Return the policy before the first iteration and after each."""
    policies = [graph.starting_policy()]
    dataset = graph.config["dataset"]
    prompts = graph.prompts(dataset, "first")
    with graph.part("further"):
        further = graph.prompts({**dataset, "_target_": f"{__name__}.later_prompts"}, "later")
    for iteration in range(1, iterations + 1):
        policy, stream = policies[-1], "" if iteration == 1 else str(iteration)
        with graph.part(str(iteration)):
            base = kept(graph, generated_dataset(graph, prompts, policy, stream), ALL)
            with graph.part("further"):
                best = kept(graph, generated_dataset(graph, further, policy, stream))
            policies.append(graph.train(policy, [base, best]))
    return policies


def later_prompts(*, prompts: int, seed: int) -> Iterator[SourceRow]:
    """The tasks of the micro world that come after the first so many."""
    for number, task in enumerate(islice(draw_tasks("preferences", 2 * prompts, seed), prompts, None), prompts + 1):
        yield SourceRow(f"micro_world:{number}", {"prompt": task.prompt}, None)


def nothing(graph: Graph) -> list[Policy]:
    return [graph.starting_policy()]


def no_list(graph: Graph) -> Policy:
    return graph.starting_policy()


def no_pairs(graph: Graph) -> list[Policy]:
    start = graph.starting_policy()
    return [start, graph.train(start, [])]


def alike(graph: Graph) -> list[Policy]:
    """Two different selections of one name."""
    start = graph.starting_policy()
    scored = generated_dataset(graph, graph.prompts(graph.config["dataset"], "x"), start)
    return [start, graph.train(start, [kept(graph, scored, ALL), kept(graph, scored)])]


def other(responses: list[str], rewards: list[float]) -> list[tuple[int, int]]:
    """A pairing rule: the first two responses."""
    return [(0, 1)]
