"""The first rows of an export, for the terminal: which pairs are best, and why."""

from pathlib import Path

import pyarrow.parquet as pq
from rich.table import Table

from apm_exp.core.console import plain_table

MOST = 3
_COLUMNS = ("part", "rank", "value", "reason", "source")


def first_rows(file: Path) -> Table:
    """Return the first rows of the exported pairs, without their texts."""
    with pq.ParquetFile(file) as pairs:
        names = [name for name in _COLUMNS if name in pairs.schema_arrow.names]
        rows = next(pairs.iter_batches(MOST, columns=names)).to_pylist()
    table = plain_table(*names)
    for row in rows:
        table.add_row(*(f"{row[name]:.3g}" if name == "value" else str(row[name]) for name in names))
    return table
