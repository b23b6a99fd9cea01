"""The held-out prompts of pipelines that evolve prompts: a prompt and all that was made from it are in one split."""

from pathlib import Path

import pyarrow.parquet as pq

from apm_exp.core.messages import read_messages
from apm_exp.data.sources.holdout import held_out, prompt_order


def held_out_families(seeds: Path, prompts: Path, fraction: float, seed: int) -> set[str]:
    """Return the ids of the held-out prompts.

    seeds: prompts.parquet of the data set's prompts, of which `fraction` is held out (see `held_out`). prompts:
    prompts.parquet of those of which the ids are returned; an evolved prompt is held out if its parent is.
    """
    rows = pq.read_table(seeds, columns=["prompt_id", "prompt"]).to_pylist()
    order = {row["prompt_id"]: prompt_order(read_messages(row["prompt"]), seed) for row in rows}
    aside = held_out(order.values(), fraction)
    table = pq.read_table(prompts, columns=["prompt_id", "parent_id"]).to_pylist()
    return {row["prompt_id"] for row in table if order.get(row["parent_id"] or row["prompt_id"]) in aside}
