"""An upper bound on the number of rows in a data set, without parsing them."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from apm_exp.data.sources.source_files import files_of

_CHUNK = 2**20


def count_rows(node: Mapping[str, Any]) -> int | None:
    """Return the number of rows in a dataset node's files, at most `limit`; None if it is unknown (the Hub)."""
    if isinstance(node.get("prompts"), int):
        rows = node["prompts"]
    elif node["_target_"].endswith(".jsonl"):
        rows = sum(_rows(file) for file in files_of(node["path"]))
    else:
        return None
    return rows if node["limit"] is None else min(rows, node["limit"])


def _rows(file: Path) -> int:
    """Return the number of rows of a Parquet file, or of lines of a text file."""
    if file.suffix.lower() == ".parquet":
        return int(pq.read_metadata(file).num_rows)
    with gzip.open(file) if file.name.lower().endswith(".gz") else file.open("rb") as content:
        chunks = iter(lambda: content.read(_CHUNK), b"")
        counted = [(chunk.count(b"\n"), chunk[-1:]) for chunk in chunks]
    return sum(lines for lines, _ in counted) + bool(counted and counted[-1][1] != b"\n")
