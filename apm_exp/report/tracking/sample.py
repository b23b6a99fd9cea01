"""A sample of a selection's pairs for a W&B table."""

import heapq
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MOST_PAIRS = 2000
COLUMNS = ["pair_id", "explicit_margin", "implicit_margin", "value", "kept"]


def sample_of_pairs(selection: Path, most: int = MOST_PAIRS) -> pa.Table:
    """Return at most `most` rows of selection.parquet, in its order: those with the lowest hashes of their pair_id.

    The sample does not depend on metric and alpha. The file is read a part at a time.
    """
    with pq.ParquetFile(selection) as file:
        chosen = heapq.nsmallest(most, _hashes(file))
        positions = np.sort(np.array([position for _, position in chosen], np.int64))
        parts, start = [], 0
        for batch in file.iter_batches(columns=COLUMNS):
            here = positions[(positions >= start) & (positions < start + len(batch))]
            parts.append(batch.take(pa.array(here - start)))
            start += len(batch)
    return pa.Table.from_batches(parts).select(COLUMNS)


def _hashes(file: pq.ParquetFile) -> Iterator[tuple[bytes, int]]:
    """Yield the hash of each pair's id, and the pair's position."""
    position = 0
    for batch in file.iter_batches(columns=["pair_id"]):
        for pair_id in batch["pair_id"].to_pylist():
            yield blake2b(str(pair_id).encode(), digest_size=8).digest(), position
            position += 1
