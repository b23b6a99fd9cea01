"""The pair_ids of a Parquet file, read on access: 100 million of them would not fit in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from apm_exp.core.sorted_parquet import ordered_tables
from apm_exp.core.split import Split


@dataclass(frozen=True)
class PairIds:
    """An array-like of `pairs` strings: it can be iterated over, indexed, and converted to an array.

    Each access reads the file's ids once. Iteration, and indexing with an array of row numbers, hold a part of them at
    a time; any other index, and np.asarray, load all (about 70 bytes each). path: a file in the order of pair_id.
    split: use only the rows on this side of it; None for all.
    """

    path: Path
    pairs: int
    split: Split | None = None

    def parts(self) -> Iterator[pa.ChunkedArray]:
        """Yield the ids in order, about a million at a time."""
        return (table["pair_id"] for table in ordered_tables(self.path, ["pair_id"], self.split))

    def __len__(self) -> int:
        return self.pairs

    def __iter__(self) -> Iterator[str]:
        for part in self.parts():
            yield from part.to_pylist()

    def __getitem__(self, rows: Any) -> Any:
        if not _are_row_numbers(rows, self.pairs):
            return np.asarray(self)[rows]
        ids, start = np.empty(rows.shape, object), 0
        for part in self.parts():
            here = (rows >= start) & (rows < start + len(part))
            ids[here] = part.take(pa.array(rows[here] - start)).to_pylist()
            start += len(part)
        return ids

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.fromiter(self, object, self.pairs).astype(dtype or object)


def _are_row_numbers(rows: Any, pairs: int) -> bool:
    return isinstance(rows, np.ndarray) and rows.dtype.kind == "i" and bool(((rows >= 0) & (rows < pairs)).all())
