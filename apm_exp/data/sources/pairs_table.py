"""The table pairs.parquet: its schema, and writing it from the spool in the order of pair ids."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from apm_exp.core.console import track
from apm_exp.core.files import atomic
from apm_exp.core.messages import EXTRAS, MESSAGES
from apm_exp.core.split import RANK

PAIRS_SCHEMA = pa.schema(
    [
        ("pair_id", pa.string()),
        ("prompt", MESSAGES),
        ("chosen", MESSAGES),
        ("rejected", MESSAGES),
        ("tools", pa.string()),
        ("responses", pa.list_(pa.string())),
        ("response_extras", EXTRAS),
        ("chosen_index", pa.int32()),
        ("rejected_index", pa.int32()),
        ("recorded_rewards", pa.list_(pa.float64())),
        (RANK, pa.int32()),
        ("source", pa.string()),
        ("own", pa.string()),
    ]
)
_ROWS_PER_GROUP = 1000


@dataclass(frozen=True, order=True)
class Placed:
    """A pair to write to the table. rank: its holdout_rank (see core.split); offset: of its line in the spool."""

    pair_id: str
    rank: int
    offset: int


def write_pairs(placed: Sequence[Placed], spool: BinaryIO, path: Path) -> None:
    """Write the table sorted by pair_id, atomically and a row group at a time."""
    ordered = sorted(placed)
    starts = range(0, len(ordered), _ROWS_PER_GROUP)
    with atomic(path) as temporary, pq.ParquetWriter(temporary, PAIRS_SCHEMA, compression="zstd") as writer:
        for start in track(starts, f"pairs: writing in groups of {_ROWS_PER_GROUP}", len(starts)):
            rows = [_row(pair, spool) for pair in ordered[start : start + _ROWS_PER_GROUP]]
            writer.write_table(pa.Table.from_pylist(rows, PAIRS_SCHEMA))


def _row(pair: Placed, spool: BinaryIO) -> dict[str, Any]:
    spool.seek(pair.offset)
    return {"pair_id": pair.pair_id, RANK: pair.rank, **json.loads(spool.readline())}
