"""Parsing of a column as text or messages: a list, one message, a struct of lists, or the JSON text of messages."""

import json
import re
from collections.abc import Mapping
from typing import Any

from apm_exp.core.types import Message
from apm_exp.data.sources.message import ROLES, SHAREGPT, message_of
from apm_exp.data.sources.rows import BadRow

# Truncated JSON, and messages as printed by Python and numpy
_STARTS_AS_MESSAGES = re.compile(r"""\s*\[?\s*\{\s*["'](role|from|content|value)["']\s*:""")
_NAMES_A_ROLE = re.compile(r"""["'](role|from)["']\s*:\s*["'](system|developer|user|assistant|tool|human|gpt)["']""")


def text_or_messages(value: Any, name: str) -> str | list[Message]:
    """Return the column's text, or its messages; BadRow if it is neither."""
    if not isinstance(value, str):
        return messages_of(value, name)
    turns = _json_messages(value)
    if turns is None and _STARTS_AS_MESSAGES.match(value) and _NAMES_A_ROLE.search(value):
        raise BadRow(
            "JSON text", f"{name} starts as the text of messages and is not their JSON; write a list of messages"
        )
    return value if turns is None else messages_of(turns, name)


def messages_of(value: Any, name: str) -> list[Message]:
    """Return the messages of a list, a single message, or a struct of lists (Parquet); BadRow if it is none."""
    if value is None:
        raise BadRow("null", f"{name} is null")
    if is_message(value):
        value = [value]
    elif isinstance(value, Mapping) and isinstance(value.get("role", value.get("from")), list):
        value = _transposed(value, name)
    if not isinstance(value, list):
        raise BadRow("wrong type", f"{name} is of type {type(value).__name__}, not text or messages")
    return [message_of(turn, f"{name}[{number}]") for number, turn in enumerate(value)]


def is_message(value: Any) -> bool:
    """Return whether a value is a message, judged by its keys and role."""
    if not isinstance(value, Mapping):
        return False
    role, speaker = (str(value.get(name)) for name in ("role", "from"))
    openai = role in ROLES and ("content" in value or "tool_calls" in value)
    return openai or ("value" in value and speaker in {*ROLES, *SHAREGPT, "function_call"})


def is_messages(value: Any) -> bool:
    """Return whether a value is a list of messages, or the JSON text of one."""
    turns = _json_messages(value) if isinstance(value, str) else value
    return isinstance(turns, list) and bool(turns) and all(map(is_message, turns))


def _json_messages(text: str) -> list[Any] | None:
    """Return the messages in a JSON text, or None."""
    if not text.lstrip().startswith(("[", "{")):
        return None
    try:
        turns = json.loads(text)
    except (ValueError, RecursionError):
        return None
    turns = [turns] if isinstance(turns, dict) else turns
    return turns if isinstance(turns, list) and turns and all(map(is_message, turns)) else None


def _transposed(columns: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the rows of a struct of lists."""
    lengths = {len(column) if isinstance(column, list) else None for column in columns.values()}
    if len(lengths) != 1 or None in lengths:
        raise BadRow("wrong type", f"{name} is a struct of lists of different lengths, not messages")
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
