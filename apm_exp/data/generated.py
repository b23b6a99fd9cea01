"""The rows of generations.parquet: as any rows of SimPO's on-policy schema, with their messages as they were read."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from apm_exp.data.parquet_file import parquet_rows
from apm_exp.data.rows import SourceRow
from apm_exp.messages import read_messages

_MESSAGES = ("prompt", "chosen", "rejected")


def generated_rows(file: Path) -> Iterator[SourceRow]:
    """The rows of a file; the source counts rows from 1."""
    return (row if row.row is None else replace(row, row=row.row | _read(row.row)) for row in parquet_rows(file))


def _read(row: dict[str, Any]) -> dict[str, Any]:
    return {name: read_messages(row[name]) for name in _MESSAGES if isinstance(row[name], list)}
