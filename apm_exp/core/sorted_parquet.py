"""Parquet files in the order of pair_id, read and written a part at a time."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core.files import atomic
from apm_exp.core.split import RANK, Split

ROWS_AT_ONCE = 2**20


def ordered_tables(
    path: Path, columns: Sequence[str] | None = None, split: Split | None = None, at_once: int | None = None
) -> Iterator[pa.Table]:
    """Yield the columns of a file (`pair_id` among them) in non-empty tables of at most `at_once` rows.

    columns: those to read; None for all. split: only the rows on this side of it; None for all. at_once: None for
    ROWS_AT_ONCE, which is too many for columns of text. Asserts that the pair_ids are strictly ascending.
    """
    last = None
    for batch in _batches(path, columns and [*columns, *([RANK] if split else [])], at_once):
        _check_order(path, last, batch["pair_id"])
        last = batch["pair_id"][-1].as_py()
        table = pa.Table.from_batches([batch])
        if split:
            table = split.of(table)
        if len(table):
            yield table


def _batches(path: Path, columns: Sequence[str] | None, at_once: int | None = None) -> Iterator[pa.RecordBatch]:
    """Yield record batches. pre_buffer is off, as it would hold everything read from a file until its end."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        yield from file.iter_batches(at_once or ROWS_AT_ONCE, columns=columns)


def _check_order(path: Path, last: str | None, pair_ids: pa.Array) -> None:
    ascend = pc.all(pc.less(pair_ids[:-1], pair_ids[1:]), min_count=0).as_py()
    in_order = ascend and (last is None or last < pair_ids[0].as_py())
    assert in_order, f"{path}: the rows are not in the order of pair_id, or a pair_id is repeated"


def rows_of_split(path: Path, split: Split) -> int:
    """Return the number of rows of a file on one side of the split."""
    return sum(pc.sum(split.mask(batch[RANK])).as_py() or 0 for batch in _batches(path, [RANK]))


def read_column(path: Path, name: str) -> np.ndarray:
    """Return a column of numbers or booleans as one array of float64, NaN for null; the file is read in parts."""
    column_P, start = np.empty(pq.read_metadata(path).num_rows), 0
    for batch in _batches(path, [name]):
        column_P[start : start + len(batch)] = batch[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
        start += len(batch)
    return column_P


def write_tables(tables: Iterator[pa.Table], path: Path) -> None:
    """Write tables of one schema (at least one) as the row groups of a zstd-compressed Parquet file, atomically.

    The next table is computed while one is written. Dictionary encoding is off, as ids and values rarely repeat.
    """
    table = next(tables)
    writer = partial(pq.ParquetWriter, schema=table.schema, compression="zstd", use_dictionary=False)
    with atomic(path) as temporary, writer(temporary) as file, ThreadPoolExecutor(1) as thread:
        while table is not None:
            following = thread.submit(next, tables, None)
            file.write_table(table)
            table = following.result()


class Beside:
    """A reader that joins an ordered file to pair_ids in the same order and holds a part of the file at a time."""

    def __init__(
        self, path: Path, columns: Sequence[str], split: Split | None = None, at_once: int | None = None
    ) -> None:
        self.path = path
        self.parts = ordered_tables(path, columns, split, at_once)
        self.ahead: list[pa.Table] = []

    def rows(self, pair_ids: pa.ChunkedArray) -> pa.Table:
        """Return the rows of these pair_ids (ascending, and after those of the last call); asserts that they exist."""
        self._read_to(pair_ids[-1].as_py())
        table = pa.concat_tables(self.ahead)
        row = pc.index_in(pair_ids, table["pair_id"])
        assert not row.null_count, self._lacks()
        rest = table.slice(row[-1].as_py() + 1)
        self.ahead = [rest] if len(rest) else []
        return table.take(row)

    def _read_to(self, pair_id: str) -> None:
        while not self.ahead or self.ahead[-1]["pair_id"][-1].as_py() < pair_id:
            part = next(self.parts, None)
            assert part is not None, self._lacks()
            self.ahead.append(part)

    def _lacks(self) -> str:
        return f"{self.path} lacks pairs that another artifact has"
