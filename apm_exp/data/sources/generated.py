"""The rows of generations.parquet in SimPO's on-policy schema, with their messages as they were read."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from apm_exp.core.messages import read_messages
from apm_exp.data.sources.parquet_file import parquet_rows
from apm_exp.data.sources.rows import SourceRow
from apm_exp.data.sources.sampled_ids import HOW_SAMPLED

_MESSAGES = ("prompt", "chosen", "rejected")


def generated_rows(file: Path) -> Iterator[SourceRow]:
    """Yield the rows of a file, numbered from 1, without the columns on how they were sampled (see sampled_ids.py)."""
    return (row if row.row is None else replace(row, row=_texts(row.row)) for row in parquet_rows(file))


def _texts(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in HOW_SAMPLED} | _read(row)


def _read(row: dict[str, Any]) -> dict[str, Any]:
    return {name: read_messages(row[name]) for name in _MESSAGES if isinstance(row[name], list)}
