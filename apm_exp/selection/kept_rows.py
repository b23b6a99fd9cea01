"""The pairs of a training: for each of its parts, the scored pairs that the selection keeps."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core.artifact import Artifact

TOKENS = ("prompt_ids", "chosen_ids", "rejected_ids")
Part = Mapping[str, Artifact]  # logps, rewards, selection


def kept_rows(parts: Sequence[Part], columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of logps.parquet that the selections keep, by pair_id.

    columns: those to return besides pair_id, or all. Raises ValueError for a pair_id that two parts keep. Asserts that
    every kept pair has log-probs.
    """
    tables = [kept_of_part(part, columns) for part in parts]
    for number, (part, table) in enumerate(zip(parts, tables, strict=True)):
        for earlier, other in zip(parts[:number], tables[:number], strict=True):
            twice = table["pair_id"].filter(pc.is_in(table["pair_id"], value_set=other["pair_id"].combine_chunks()))
            if len(twice):
                both = " and ".join(str(each["selection"].path) for each in (earlier, part))
                raise ValueError(
                    f"pipeline: two parts of a training keep the same {len(twice)} pairs, the first is {twice[0]} "
                    f"({both}); make the parts disjoint"
                )
    return pa.concat_tables(tables).sort_by("pair_id")


def kept_ids(part: Part) -> pa.Array:
    """Return the pair_ids that the selection of a part keeps, in ascending order."""
    chosen = pq.read_table(part["selection"].path / "selection.parquet", columns=["pair_id", "kept"])
    return chosen.filter(chosen["kept"]).sort_by("pair_id")["pair_id"].combine_chunks()


def kept_of_part(part: Part, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of one part, by pair_id."""
    kept = kept_ids(part)
    wanted = None if columns is None else ["pair_id", *columns]
    rows = rows_of(kept, part["logps"], "logps.parquet", wanted)
    assert rows["pair_id"].to_pylist() == kept.to_pylist(), "a selected pair has no log-probs, or repeated ones"
    return rows


def rows_of(pair_ids: pa.Array, artifact: Artifact, file: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of an artifact's table for these pairs, by pair_id."""
    table = pq.read_table(artifact.path / file, columns=columns and list(columns))
    return table.filter(pc.is_in(table["pair_id"], value_set=pair_ids)).sort_by("pair_id")


def tokens_of(rows: pa.Table) -> pa.Array:
    """Return the number of tokens of each of a pair's three texts, as a table of columns."""
    return pa.table({name: pc.list_value_length(rows[name]) for name in TOKENS})
