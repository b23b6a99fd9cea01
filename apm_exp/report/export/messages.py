"""Conversion of messages for export: every field of a message in its own column, and the tools as JSON."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from apm_exp.core.errors import UsageError
from apm_exp.core.messages import read_messages
from apm_exp.core.types import Message

_PARTS = ("prompt", "chosen", "rejected")
_EXTRAS = [f"{part}.list.element.extra" for part in _PARTS]
_TEXTS = [("role", pa.string()), ("content", pa.string())]
_ROWS_AT_ONCE = 4096
Written = Callable[[Any], Any]


@dataclass(frozen=True)
class MessageColumns:
    """The columns of exported messages.

    fields: for each further field, its type and the conversion of its values. tools: whether any row has tools.
    """

    fields: dict[str, tuple[pa.DataType, Written]]
    tools: bool

    def of(self, table: pa.Table) -> pa.Table:
        """Return the table with its messages and tools in their exported form."""
        kind = pa.list_(pa.struct([*_TEXTS, *((name, field[0]) for name, field in self.fields.items())]))
        for part in _PARTS:
            messages = [[*map(self._written, read_messages(turns))] for turns in table[part].to_pylist()]
            table = table.set_column(table.column_names.index(part), part, pa.array(messages, kind))
        return table if self.tools else table.drop_columns("tools")

    def _written(self, message: Message) -> dict[str, Any]:
        return {name: self.fields[name][1](value) if name in self.fields else value for name, value in message.items()}


def message_columns(files: Iterable[Path]) -> MessageColumns:
    """Return how the messages and tools of files pairs.parquet are exported.

    Memory: all fields besides role and content. Raises UsageError for pairs of an earlier version, whose messages have
    no further fields, or which lack the rows' own columns.
    """
    values: dict[str, list[Any]] = defaultdict(list)
    tools = [_collect(file, values) for file in files]
    return MessageColumns({name: _column(name, values[name]) for name in sorted(values)}, any(tools))


def _collect(pairs: Path, values: dict[str, list[Any]]) -> bool:
    """Add the further fields of a file's messages to `values`; return whether any row has tools."""
    tools = False
    with pq.ParquetFile(pairs) as file:
        if not {"tools", "own"} <= {*file.schema_arrow.names}:
            remedy = "re-run the run's command (its command.txt), and export the new run"
            raise UsageError(f"run: {pairs} was written by an earlier version in another format; {remedy}")
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[*_EXTRAS, "tools"]):
            tools = tools or batch["tools"].null_count < len(batch)
            for part in _PARTS:
                for extra in batch[part].flatten().field("extra").drop_null().to_pylist():
                    for name, value in json.loads(extra).items():
                        values[name].append(value)
    return tools


def _column(name: str, values: list[Any]) -> tuple[pa.DataType, Written]:
    """Return a type that holds exactly these values, or these calls with their arguments as text; else JSON text."""
    for written in (_same, _with_text_arguments):
        kept = [*map(written, values)]
        try:
            column = pa.array(kept)
        except (pa.ArrowException, OverflowError):
            continue
        if column.to_pylist() == kept and not _has_empty(column.type):
            return column.type, written
    return pa.string(), partial(json.dumps, ensure_ascii=False)


def _same(value: Any) -> Any:
    return value


def _with_text_arguments(calls: Any) -> Any:
    """Return tool calls with their arguments as JSON text, as in OpenAI's API."""
    return [*map(_with_text, calls)] if isinstance(calls, list) else calls


def _with_text(call: Any) -> Any:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("arguments"), dict):
        return call
    return {**call, "function": {**function, "arguments": json.dumps(function["arguments"], ensure_ascii=False)}}


def _has_empty(kind: pa.DataType) -> bool:
    """Return whether a type contains a part without values, which Parquet or its readers do not support."""
    inner: Iterable[pa.DataType] = (kind.field(number).type for number in range(kind.num_fields))
    return pa.types.is_null(kind) or (pa.types.is_struct(kind) and not kind.num_fields) or any(map(_has_empty, inner))
