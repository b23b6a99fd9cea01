"""Recipe: train on all pairs of the data set's prompts and of further prompts of the same data set, as a control."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core.types import Policy
from apm_exp.data.sources.count import count_rows
from apm_exp.pipeline.changes import Changes
from apm_exp.pipeline.graph import Graph, Part
from apm_exp.pipeline.recipes.scored import generated_dataset, kept
from apm_exp.pipeline.recipes.self_play import ALL, Iteration, iterate

SAMPLES = True


def more_prompts(graph: Graph, *, iterations: int, changes: Changes | None, fresh: bool) -> list[Policy]:
    """Return the policies of the paper's control "+uf" (Sections 5.1 and 5.3), the starting policy first.

    D is of dataset.limit prompts, and the further part is of the next dataset.limit ones, of which the keep rule keeps
    the best. fresh: each iteration takes further prompts of its own. Raises ValueError if there is no limit, or if the
    data set has too few rows.
    """
    dataset = graph.config["dataset"]
    if (limit := dataset.get("limit")) is None:
        problem = "pipeline=more_prompts takes the prompts that come after the first dataset.limit ones"
        raise ValueError(f"dataset.limit=null: {problem}; give dataset.limit=NUMBER, at most half of the prompts")
    _check_rows(dataset, 1 + (iterations if fresh else 1))

    def parts(graph: Graph, at: Iteration) -> list[Part]:
        base = kept(graph, generated_dataset(graph, at.prompts, at.policy, at.stream, at.prompts), ALL)
        skip = dataset["skip"] + limit * (at.number if fresh else 1)
        with graph.part("further"):
            further = graph.prompts({**dataset, "skip": skip}, f"{graph.choices.dataset}-from-{skip}", seeds=at.prompts)
            return [base, kept(graph, generated_dataset(graph, further, at.policy, at.stream, at.prompts))]

    return iterate(graph, iterations, changes, parts)


def _check_rows(dataset: Mapping[str, Any], sets: int) -> None:
    """Raise ValueError if a data set, whose number of rows is known, has fewer than so many times `limit`."""
    rows, limit = count_rows({**dataset, "limit": None}), dataset["limit"]
    if rows is not None and rows < sets * limit:
        problem = f"{rows:,} rows are too few for {sets} times as many prompts"
        raise ValueError(f"dataset.limit={limit}: {problem}; give dataset.limit={rows // sets}, or more rows")
