"""The pair_ids of a Parquet file, read when they are looked at: at 100 million pairs they would not fit in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from apm_exp.core.sorted_parquet import ordered_tables


@dataclass(frozen=True)
class PairIds:
    """What stands for an array of `pairs` strings: can be iterated over, indexed, and made an array.

    Each look reads the file's ids once. Iterating, or an array of row numbers as index, holds a part of them at a
    time; any other index, and np.asarray, holds all (some 70 bytes each). path: a file in the order of pair_id.
    split: only the rows of that split, or all.
    """

    path: Path
    pairs: int
    split: str | None = None

    def parts(self) -> Iterator[pa.ChunkedArray]:
        """The ids in order, about a million at a time."""
        return (table["pair_id"] for table in ordered_tables(self.path, ["pair_id"], self.split))

    def __len__(self) -> int:
        return self.pairs

    def __iter__(self) -> Iterator[str]:
        for part in self.parts():
            yield from part.to_pylist()

    def __getitem__(self, rows: Any) -> Any:
        if not _are_row_numbers(rows, self.pairs):
            return np.asarray(self)[rows]
        found, start = np.empty(rows.shape, object), 0
        for part in self.parts():
            here = (rows >= start) & (rows < start + len(part))
            found[here] = part.take(pa.array(rows[here] - start)).to_pylist()
            start += len(part)
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.fromiter(self, object, self.pairs).astype(dtype or object)


def _are_row_numbers(rows: Any, pairs: int) -> bool:
    return isinstance(rows, np.ndarray) and rows.dtype.kind == "i" and bool(((rows >= 0) & (rows < pairs)).all())
