"""The columns of the user's own rows that apm_exp does not read, for export."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_ROWS_AT_ONCE = 4096
_FOR_TRL = ("completion", "image", "images", "label", "messages")  # a trainer would read these as its own
_TYPES = {
    frozenset({"bool"}): pa.bool_(),
    frozenset({"int"}): pa.int64(),
    frozenset({"int", "long"}): pa.int64(),
    frozenset({"long"}): pa.int64(),
    frozenset({"float"}): pa.float64(),
    frozenset({"int", "float"}): pa.float64(),
    frozenset({"str"}): pa.string(),
}


@dataclass(frozen=True)
class OwnColumns:
    """The rows' own columns. types: of each; None for JSON text. named: their names in the export."""

    types: Mapping[str, pa.DataType | None]
    named: Mapping[str, str]

    def of(self, own: Iterable[str | None]) -> dict[str, pa.Array]:
        """Return the columns of rows, from the JSON text of each; a value that a row lacks is null."""
        rows = [json.loads(text) if text else {} for text in own]
        return {self.named[name]: _column([row.get(name) for row in rows], kind) for name, kind in self.types.items()}


def own_columns(files: Iterable[Path], taken: Collection[str]) -> OwnColumns:
    """Return the own columns of files pairs.parquet.

    taken: names of other columns of the export; a column of such a name is called `own_<name>`. Memory: a part of a
    file.
    """
    kinds: dict[str, set[str]] = defaultdict(set)
    for row in _rows(files):
        for name, value in row.items():
            kinds[name] |= {_kind(value)} - {"null"}
    types = {name: _TYPES.get(frozenset(found)) if found else pa.string() for name, found in kinds.items()}
    names: dict[str, str] = {}
    for name in types:
        names[name] = _free(name, {*taken, *_FOR_TRL, *names.values()})
    return OwnColumns(types, names)


def _rows(files: Iterable[Path]) -> Iterator[Mapping[str, Any]]:
    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=["own"]):
                yield from (json.loads(text) for text in batch["own"].to_pylist() if text)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, int) and not isinstance(value, bool):
        return "int" if abs(value) <= 2**53 else "long" if -(2**63) <= value < 2**63 else "other"
    return type(value).__name__ if isinstance(value, bool | float | str) else "other"


def _column(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    if kind is not None:
        return pa.array(values, kind)
    return pa.array([None if value is None else json.dumps(value, ensure_ascii=False) for value in values], pa.string())


def _free(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name = f"own_{name}"
    return name
