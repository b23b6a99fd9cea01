"""Rows of Parquet files, read a small batch at a time."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from apm_exp.data.rows import SourceRow, printable, without_fill

_ROWS_PER_BATCH = 256
_CELLS_AT_ONCE = 2**18  # as Python objects, which take much more memory than the batch


def parquet_rows(file: Path) -> Iterator[SourceRow]:
    """The rows of a file; the source counts rows from 1. Raises ValueError where the file cannot be read."""
    name = printable(file)
    first = 1
    try:
        with pq.ParquetFile(file) as content:
            _refuse_duplicates(name, content.schema_arrow.names)
            at_once = max(1, _CELLS_AT_ONCE // max(1, len(content.schema_arrow.names)))
            for batch in content.iter_batches(_ROWS_PER_BATCH):
                for start in range(0, batch.num_rows, at_once):
                    part = batch.slice(start, at_once)
                    yield from _rows(name, first, part)
                    first += part.num_rows
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"dataset.path={name}: cannot be read after row {first - 1}: {reason}") from error


def _refuse_duplicates(name: str, columns: list[str]) -> None:
    duplicates = [column for column, times in Counter(columns).items() if times > 1]
    if duplicates:
        raise ValueError(f"dataset.path={name}: has the column {min(duplicates)!r} twice; rename one")


def _rows(name: str, first: int, batch: pa.RecordBatch) -> Iterator[SourceRow]:
    try:
        rows = batch.to_pylist()
    except UnicodeDecodeError:  # which row it is shows when they are read one by one
        yield from (_row(f"{name}:{first + i}", batch.slice(i, 1)) for i in range(batch.num_rows))
        return
    yield from (SourceRow(f"{name}:{number}", without_fill(row), None) for number, row in enumerate(rows, first))


def _row(source: str, batch: pa.RecordBatch) -> SourceRow:
    try:
        return SourceRow(source, without_fill(batch.to_pylist()[0]), None)
    except UnicodeDecodeError as error:
        return SourceRow(source, None, f"invalid UTF-8: {error.reason} at position {error.start + 1}")
