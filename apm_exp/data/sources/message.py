"""Parsing of one message of a row: OpenAI's or ShareGPT's keys, text or text parts."""

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, cast

from apm_exp.core.messages import says_something
from apm_exp.core.types import Message
from apm_exp.data.sources.rows import BadRow

ROLES = {"system", "developer", "user", "assistant", "tool"}
SHAREGPT = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "observation": "tool"}
_CALL = "function_call"  # a role in ShareGPT's format, whose value is the JSON of a call
_TEXT_PARTS = {"text", "input_text", "output_text"}
_NOTHING: tuple[Any, ...] = (None, [], {})


def message_of(turn: Any, name: str) -> Message:
    """Return a message with role, content and all other non-empty fields; BadRow if it is not a message."""
    role_key, content_key = _keys(turn)
    if not isinstance(turn, Mapping) or role_key not in turn:
        raise BadRow("wrong type", f"{name} is not a message with role and content")
    role = _role(turn[role_key], f"{name}.{role_key}")
    fields = {key: field for key, field in turn.items() if key not in (role_key, content_key)}
    if role == _CALL:
        return _call(turn.get(content_key), fields, name)
    content = _content(turn.get(content_key), f"{name}.{content_key}")
    message = cast(Message, {"role": role, "content": content, **_fields(fields, name)})
    if content is None and (role != "assistant" or not says_something(message)):
        if content_key not in turn:
            raise BadRow("wrong type", f"{name} is not a message with role and content")
        raise BadRow("null", f"{name}.{content_key} is null")
    return message


def _keys(turn: Any) -> tuple[str, str]:
    sharegpt = isinstance(turn, Mapping) and "role" not in turn and "from" in turn
    return ("from", "value") if sharegpt else ("role", "content")


def _role(role: Any, name: str) -> str:
    if role is None:
        raise BadRow("null", f"{name} is null")
    if not isinstance(role, str):
        raise BadRow("wrong type", f"{name} is of type {type(role).__name__}, not text")
    if name.endswith(".from"):
        role = SHAREGPT.get(role, role)
        if role == _CALL:
            return role
    if role not in ROLES:
        raise BadRow("unknown role", f"{name} is {role[:40]!r}, not one of {', '.join(sorted(ROLES))}")
    return role


def _content(content: Any, name: str) -> str | None:
    if content is None or content == []:
        return None
    if isinstance(content, list):
        return _text_of_parts(content, name)
    if not isinstance(content, str):
        raise BadRow("wrong type", f"{name} is of type {type(content).__name__}, not text")
    return content


def _text_of_parts(parts: list[Any], name: str) -> str:
    """Return the text of the only part: how several parts are joined depends on the chat template."""
    kinds = [part.get("type") if isinstance(part, Mapping) else type(part).__name__ for part in parts]
    other = sorted({str(kind) for kind in kinds if kind not in _TEXT_PARTS})
    if other or not all(isinstance(part.get("text"), str) for part in parts):
        raise BadRow(
            "content in parts",
            f"{name} has a part of type {', '.join(other) or 'text without text'}; only text is read",
        )
    if len(parts) > 1:
        raise BadRow("content in parts", f"{name} has {len(parts)} parts of text; join them into one text")
    return str(parts[0]["text"])


def _call(value: Any, fields: Mapping[str, Any], name: str) -> Message:
    """Return the assistant's message for a function_call turn."""
    try:
        parsed = json.loads(value)
    except (TypeError, ValueError):
        parsed = None
    calls = parsed if isinstance(parsed, list) else [parsed]
    if not calls or not all(isinstance(call, dict) and call.keys() == {"name", "arguments"} for call in calls):
        remedy = "write it as the assistant's message with tool_calls"
        raise BadRow("unknown role", f"{name} is a function_call that is not JSON with name and arguments; {remedy}")
    tool_calls = [{"type": "function", "function": call} for call in calls]
    return cast(Message, {"role": "assistant", "content": None, "tool_calls": tool_calls, **_fields(fields, name)})


def _fields(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the non-empty fields as JSON values: lists, objects, texts, numbers."""
    kept = {key: field for key, field in fields.items() if field not in _NOTHING}
    if isinstance(kept.get("tool_calls"), str):
        kept["tool_calls"] = objects_of(kept["tool_calls"], f"{name}.tool_calls")
    return plain(kept, name) if kept else {}


def objects_of(value: Any, name: str) -> list[dict[str, Any]]:
    """Return a list of objects, given as such or as JSON text (tool_calls, tools); BadRow if it is neither."""
    try:
        objects = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        objects = None
    if not isinstance(objects, list) or not all(isinstance(each, Mapping) for each in objects):
        raise BadRow("wrong type", f"{name} is not a list of objects, nor the JSON text of one")
    present = [{key: field for key, field in each.items() if field is not None} for each in objects]
    return cast(list[dict[str, Any]], plain(present, name))


def plain(value: Any, name: str) -> Any:
    """Return a value converted to JSON types; BadRow if it contains something else, such as bytes."""
    try:
        return json.loads(json.dumps(value, default=_of_parquet))
    except (TypeError, ValueError) as error:
        raise BadRow("wrong type", f"{name} cannot be written as JSON: {error}") from None


def _of_parquet(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, date):  # includes datetimes
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not a JSON type")
