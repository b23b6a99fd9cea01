"""Writing of a split as Parquet files of a size that suits the Hub and its readers."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from apm_exp.core.files import atomic

ROWS_PER_GROUP = 1000
BYTES_PER_FILE = 500_000_000


def write_shards(tables: Iterator[pa.Table], folder: Path, split: str) -> int:
    """Write tables of one schema to folder/<split>-00000-of-0000N.parquet; returns the number of rows.

    Without rows no file is written. Memory: the tables of one row group.
    """
    groups, rows = _groups(tables), 0
    paths: list[Path] = []
    group = next(groups, None)
    while group is not None:
        paths.append(folder / f"{split}-{len(paths):05}.parquet")
        with atomic(paths[-1]) as temporary, pq.ParquetWriter(temporary, group.schema, compression="zstd") as file:
            full = False
            while group is not None and not full:
                file.write_table(group)
                rows += len(group)
                group = next(groups, None)
                full = temporary.stat().st_size >= BYTES_PER_FILE
    for number, path in enumerate(paths):
        path.rename(folder / f"{split}-{number:05}-of-{len(paths):05}.parquet")
    return rows


def _groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield the same rows in tables of at least ROWS_PER_GROUP rows, except for the last."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= ROWS_PER_GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
