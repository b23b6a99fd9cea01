"""Sorting of exported rows by rank, with a bounded number of them in memory."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

RANKS_AT_ONCE = 20_000


def by_rank(tables: Iterator[pa.Table], folder: Path) -> Iterator[pa.Table]:
    """Yield the rows of tables in the order of their column `rank`, whose values differ.

    folder: where temporary files are written, one for each RANKS_AT_ONCE ranks.
    """
    with TemporaryDirectory(dir=folder, prefix=".by-rank-") as scratch:
        for path in _spread(tables, Path(scratch)):
            yield pq.read_table(path).sort_by("rank")


def _spread(tables: Iterator[pa.Table], scratch: Path) -> list[Path]:
    """Write the rows to one file for each range of ranks; return the files in the order of the ranks."""
    writers: dict[int, pq.ParquetWriter] = {}
    with ExitStack() as files:
        for table in tables:
            place = pc.divide(pc.subtract(table["rank"], 1), RANKS_AT_ONCE)
            for number in pc.unique(place).to_pylist():
                if number not in writers:
                    writer = pq.ParquetWriter(scratch / f"{number}.parquet", table.schema, compression="zstd")
                    writers[number] = files.enter_context(writer)
                writers[number].write_table(table.filter(pc.equal(place, number)))
    return [scratch / f"{number}.parquet" for number in sorted(writers)]
