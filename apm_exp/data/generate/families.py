"""The hold-out of pipelines that evolve prompts: a prompt and all that was made from it are on one side of it."""

from pathlib import Path

import pyarrow.parquet as pq

from apm_exp.core.messages import read_messages
from apm_exp.data.sources.holdout import prompt_order, ranks


def family_ranks(seeds: Path, prompts: Path, seed: int) -> tuple[dict[str, int], int]:
    """Return each prompt's place in the order in which prompts are held out, by prompt_id, and the number of seeds.

    seeds: prompts.parquet of the data set's prompts, which have places of their own. prompts: prompts.parquet of those
    of which the places are returned; an evolved prompt has that of its parent. Others come last: never held out.
    """
    rows = pq.read_table(seeds, columns=["prompt_id", "prompt"]).to_pylist()
    order = {row["prompt_id"]: prompt_order(read_messages(row["prompt"]), seed) for row in rows}
    rank_of = ranks(order.values())
    table = pq.read_table(prompts, columns=["prompt_id", "parent_id"]).to_pylist()
    family = {row["prompt_id"]: order.get(row["parent_id"] or row["prompt_id"], "") for row in table}
    return {name: rank_of.get(each, len(rank_of)) for name, each in family.items()}, len(rank_of)
