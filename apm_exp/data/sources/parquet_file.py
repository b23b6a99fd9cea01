"""Rows of Parquet files, read in small batches."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from apm_exp.data.sources.rows import SourceRow, printable, without_fill

_MOST_ROWS, _FEWEST_ROWS = 256, 32
_CELLS_AT_ONCE = 2**22  # as Python objects, which need much more memory than the batch


class _NotPython(Exception):
    """An error for values that cannot be represented in Python."""


def parquet_rows(file: Path) -> Iterator[SourceRow]:
    """Yield the rows of a file, numbered from 1. Raises ValueError if the file cannot be read."""
    name = printable(file)
    first = 1
    try:
        with pq.ParquetFile(file) as content:
            _refuse_duplicates(name, content.schema_arrow.names)
            for batch in content.iter_batches(_rows_at_once(len(content.schema_arrow.names))):
                yield from _rows(name, first, batch)
                first += batch.num_rows
    except (OSError, pa.ArrowException, _NotPython) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"dataset.path={name}: cannot be read after row {first - 1}: {reason}") from error


def _refuse_duplicates(name: str, columns: list[str]) -> None:
    duplicates = [column for column, times in Counter(columns).items() if times > 1]
    if duplicates:
        raise ValueError(f"dataset.path={name}: has the column {min(duplicates)!r} twice; rename one")


def _rows_at_once(columns: int) -> int:
    return max(_FEWEST_ROWS, min(_MOST_ROWS, _CELLS_AT_ONCE // max(1, columns)))


def _rows(name: str, first: int, batch: pa.RecordBatch) -> Iterator[SourceRow]:
    try:
        columns = batch.to_pydict()
        for field in batch.schema:
            if pa.types.is_nested(field.type):
                columns[field.name] = [*map(without_fill, columns[field.name])]
    except UnicodeDecodeError:  # find the bad row by reading them one by one
        yield from (_row(f"{name}:{first + i}", batch.slice(i, 1)) for i in range(batch.num_rows))
        return
    except (ValueError, OverflowError) as error:  # two fields of one name in a struct; a date after the year 9999
        raise _NotPython(str(error)) from error
    for i in range(batch.num_rows):  # one dict at a time, as with 100,000 columns each takes megabytes
        row = {column: values[i] for column, values in columns.items()}
        yield SourceRow(f"{name}:{first + i}", row, None)


def _row(source: str, batch: pa.RecordBatch) -> SourceRow:
    try:
        return SourceRow(source, {name: without_fill(value) for name, value in batch.to_pylist()[0].items()}, None)
    except UnicodeDecodeError as error:
        return SourceRow(source, None, f"invalid UTF-8: {error.reason} at position {error.start + 1}")
