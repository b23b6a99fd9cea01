"""Recipe: train on all pairs of the data set's prompts and of further prompts of the same data set, as a control."""

from apm_exp.core.types import Policy
from apm_exp.pipeline.changes import Changes
from apm_exp.pipeline.graph import Graph, Part
from apm_exp.pipeline.recipes.scored import generated_dataset, kept
from apm_exp.pipeline.recipes.self_play import ALL, Iteration, iterate

SAMPLES = True


def more_prompts(graph: Graph, *, iterations: int, changes: Changes | None, fresh: bool) -> list[Policy]:
    """Return the policies of the paper's control "+uf" (Sections 5.1 and 5.3), the starting policy first.

    D is of dataset.limit prompts, and the further part is of the next dataset.limit ones, of which the keep rule keeps
    the best. fresh: each iteration takes further prompts of its own. Raises ValueError if there is no limit.
    """
    dataset = graph.config["dataset"]
    if (limit := dataset.get("limit")) is None:
        problem = "pipeline=more_prompts takes the prompts that come after the first dataset.limit ones"
        raise ValueError(f"dataset.limit=null: {problem}; give dataset.limit=NUMBER, at most half of the prompts")

    def parts(graph: Graph, at: Iteration) -> list[Part]:
        base = kept(graph, generated_dataset(graph, at.prompts, at.policy, at.stream, at.prompts), ALL)
        skip = dataset["skip"] + limit * (at.number if fresh else 1)
        with graph.part("further"):
            further = graph.prompts({**dataset, "skip": skip}, f"{graph.choices.dataset}-from-{skip}", seeds=at.prompts)
            return [base, kept(graph, generated_dataset(graph, further, at.policy, at.stream, at.prompts))]

    return iterate(graph, iterations, changes, parts)
