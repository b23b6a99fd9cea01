"""The tokens of generated pairs, copied from generations.parquet to pairs.parquet."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core.sorted_parquet import ordered_tables, write_tables

_HOW_SAMPLED = ["prompt_ids", "response_ids", "logps", "tokenizer", "sampler"]
_ROWS_AT_ONCE = 1000


def add_sampled_ids(pairs: Path, generations: Path) -> None:
    """Add to each row of pairs.parquet how it was sampled; does nothing if the generations do not record it.

    prompt_ids, chosen_ids, rejected_ids: the tokens of the prompt that was sampled from and of both responses, with an
    end token only if one was sampled. sampled_chosen_logp, sampled_rejected_logp: under the sampler, in nats.
    tokenizer, sampler: see pipeline/stages/generations.py. Pairs of a data set have none of these columns.
    """
    sampled = pq.read_table(generations, columns=_HOW_SAMPLED)
    if sampled["response_ids"].null_count < len(sampled):
        write_tables(_with_ids(pairs, sampled), pairs)


def _with_ids(pairs: Path, sampled: pa.Table) -> Iterator[pa.Table]:
    for table in ordered_tables(pairs, at_once=_ROWS_AT_ONCE):
        rows = sampled.take([int(source.rpartition(":")[2]) - 1 for source in table["source"].to_pylist()])
        columns = {"prompt_ids": rows["prompt_ids"]}
        for name in ("chosen", "rejected"):
            columns[f"{name}_ids"] = _entry(rows["response_ids"], table[f"{name}_index"])
            columns[f"sampled_{name}_logp"] = _entry(rows["logps"], table[f"{name}_index"])
        for name, column in (columns | {"tokenizer": rows["tokenizer"], "sampler": rows["sampler"]}).items():
            table = table.append_column(name, column)
        yield table


def _entry(lists_P: pa.ChunkedArray, index_P: pa.ChunkedArray) -> pa.Array:
    """Return entry index_P of each row's list; null if the row has none."""
    lists = lists_P.combine_chunks()
    place_P = lists.offsets.to_numpy()[:-1] + index_P.to_numpy()
    return lists.values.take(pa.array(place_P, mask=pc.is_null(lists).to_numpy(zero_copy_only=False)))
