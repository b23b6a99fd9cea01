"""Storage of chat messages: role and content as columns, and all other fields of a message as JSON beside them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import pyarrow as pa

from apm_exp.core.types import Message, Tools

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string()), ("extra", pa.string())]))
EXTRAS = pa.list_(pa.string())  # the extra fields of responses, stored beside their texts
# fields that may replace the content
_SAYING = ("tool_calls", "function_call", "reasoning_content", "reasoning", "thinking")


def text_of(message: Mapping[str, Any]) -> str:
    """Return the content of a message, "" if it has none."""
    return str(message["content"] or "")


def says_something(message: Mapping[str, Any]) -> bool:
    """Return whether a message has text, or a field that an assistant's message may have instead."""
    return bool(text_of(message).strip() or any(message.get(name) for name in _SAYING))


def fields_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a message besides role and content: tool_calls, reasoning_content, ..."""
    return {name: value for name, value in message.items() if name not in ("role", "content")}


def extra_of(message: Mapping[str, Any]) -> str | None:
    """Return those fields as a JSON object, or None."""
    fields = fields_of(message)
    return json.dumps(fields, ensure_ascii=False) if fields else None


def stored(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Return messages as a value of a column of type MESSAGES."""
    return [{"role": m["role"], "content": m["content"], "extra": extra_of(m)} for m in messages]


def read_messages(column: Iterable[Mapping[str, Any]]) -> list[Message]:
    """Return the messages of a value of a column of type MESSAGES, with all fields of the source."""
    return [with_extra(m["role"], m["content"], m.get("extra")) for m in column]


def with_extra(role: str, content: str | None, extra: str | None) -> Message:
    """Return a message with the fields of a JSON object, if there is one."""
    fields = json.loads(extra) if extra else {}
    return cast(Message, {"role": role, "content": content, **fields})


def read_responses(texts: Sequence[str], extras: Sequence[str | None] | None) -> list[Message]:
    """Return the responses of a row as the assistant's messages."""
    return [with_extra("assistant", *each) for each in zip(texts, extras or [None] * len(texts), strict=True)]


def stored_tools(tools: Tools | None) -> str | None:
    """Return the tools of a row as a value of a column `tools`."""
    return json.dumps(tools, ensure_ascii=False) if tools else None


def read_tools(text: str | None) -> Tools | None:
    """Return the tools of a row from a column `tools`."""
    return cast(Tools, json.loads(text)) if text else None
