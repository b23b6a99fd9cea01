"""Messages as others read them: every field of a message in a column of its own, and the tools as JSON."""

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
    """fields: the type of each further field, and what is written of its value. tools: whether any row has some."""

    fields: dict[str, tuple[pa.DataType, Written]]
    tools: bool

    def of(self, table: pa.Table) -> pa.Table:
        """The table with its messages and tools as they are exported."""
        kind = pa.list_(pa.struct([*_TEXTS, *((name, field[0]) for name, field in self.fields.items())]))
        for part in _PARTS:
            messages = [[*map(self._written, read_messages(turns))] for turns in table[part].to_pylist()]
            table = table.set_column(table.column_names.index(part), part, pa.array(messages, kind))
        return table if self.tools else table.drop_columns("tools")

    def _written(self, message: Message) -> dict[str, Any]:
        return {name: self.fields[name][1](value) if name in self.fields else value for name, value in message.items()}


def message_columns(pairs: Path) -> MessageColumns:
    """How the messages and tools of pairs.parquet are exported. Memory: the fields besides role and content of all.

    Raises UsageError for pairs of an earlier version, whose messages have no further fields.
    """
    values: dict[str, list[Any]] = defaultdict(list)
    tools = False
    with pq.ParquetFile(pairs) as file:
        if "tools" not in file.schema_arrow.names:
            remedy = "type the run's own command (its command.txt) again, and export the run that this makes"
            raise UsageError(f"run: {pairs} was written by an earlier version, in another form; {remedy}")
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[*_EXTRAS, "tools"]):
            tools = tools or batch["tools"].null_count < len(batch)
            for part in _PARTS:
                for extra in batch[part].flatten().field("extra").drop_null().to_pylist():
                    for name, value in json.loads(extra).items():
                        values[name].append(value)
    return MessageColumns({name: _column(name, values[name]) for name in sorted(values)}, tools)


def _column(name: str, values: list[Any]) -> tuple[pa.DataType, Written]:
    """A type that gives back exactly these values, or the values of calls whose arguments are text; else JSON."""
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
    """Tool calls with their arguments as JSON text, as OpenAI's API has them."""
    return [*map(_with_text, calls)] if isinstance(calls, list) else calls


def _with_text(call: Any) -> Any:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("arguments"), dict):
        return call
    return {**call, "function": {**function, "arguments": json.dumps(function["arguments"], ensure_ascii=False)}}


def _has_empty(kind: pa.DataType) -> bool:
    """Whether a type has a part without any value, which Parquet or its readers do not take."""
    inner: Iterable[pa.DataType] = (kind.field(number).type for number in range(kind.num_fields))
    return pa.types.is_null(kind) or (pa.types.is_struct(kind) and not kind.num_fields) or any(map(_has_empty, inner))
