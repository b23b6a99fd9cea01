"""Turns that are more than text: tool calls and reasoning, in the format of chat APIs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from apm_exp.core.messages import fields_of, text_of
from apm_exp.core.types import Message, Tools

_REASONING = ("reasoning_content", "reasoning", "thinking")  # the names that templates read


def is_text(messages: Sequence[Message]) -> bool:
    """Return whether this is a single turn with text only."""
    return len(messages) == 1 and messages[0]["content"] is not None and not any(fields_of(messages[0]).values())


def forms(messages: Sequence[Message]) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Yield the messages in the forms that templates accept, without repetition, the most common first.

    Arguments of tool calls are an object (most templates) or its JSON text (the APIs, DeepSeek's template); a null
    content beside them is omitted (as transformers does) or empty.
    """
    parsed = [_with_parsed_arguments(message) for message in messages]
    tried: list[Sequence[Mapping[str, Any]]] = []
    for form in (parsed, _with_content(parsed), messages, _with_content(messages)):
        if form not in tried:
            tried.append(form)
            yield form


def _with_content(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [{**message, "content": ""} if message["content"] is None else message for message in messages]


def _with_parsed_arguments(message: Message) -> Mapping[str, Any]:
    """Return a message whose tool calls have their JSON arguments parsed to objects."""
    calls = cast(Mapping[str, Any], message).get("tool_calls")
    if not isinstance(calls, list):
        return message
    return {**message, "tool_calls": [_parsed(call) for call in calls]}


def _parsed(call: Any) -> Any:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("arguments"), str):
        return call
    try:
        arguments = json.loads(function["arguments"])
    except ValueError:
        return call
    return {**call, "function": {**function, "arguments": arguments}} if isinstance(arguments, dict) else call


def not_written(text: str, messages: Sequence[Message], *, response: bool) -> str | None:
    """Return a part of the messages that is missing from the template's text, or None.

    Checked are the names and arguments of tool calls, the contents, and the reasoning of a response. Templates delete
    the reasoning of earlier turns on purpose, in a field or at the start of the content: of these only the last line is
    required. Some interpret flags in other turns (`/no_think`): of these only the longest line is required.
    """
    for message in messages:
        for name, part in _parts(message, response):
            if part.strip() and not _is_in(part.strip(), text):
                return f"the {message['role']}'s {name}: {part.strip()[:60]!r}"
    return None


def _is_in(part: str, text: str) -> bool:
    """Return whether a text contains this part, literally or JSON-encoded."""
    return any(
        form in text for form in (part, *(json.dumps(part, ensure_ascii=ascii)[1:-1] for ascii in (False, True)))
    )


def _parts(message: Message, response: bool) -> Iterator[tuple[str, str]]:
    fields = cast(Mapping[str, Any], message)
    if response:
        yield from ((name, fields[name]) for name in _REASONING if isinstance(fields.get(name), str))
        yield "content", text_of(message)
    elif lines := text_of(message).strip().splitlines():
        yield "content", lines[-1] if message["role"] == "assistant" else max(lines, key=len)
    for call in _calls(message):
        function = call.get("function", call) if isinstance(call, Mapping) else {}
        yield "tool_calls", str(function.get("name", ""))
        arguments = function.get("arguments")
        values = arguments.values() if isinstance(arguments, Mapping) else [arguments]
        yield from (("tool_calls", value) for value in values if isinstance(value, str))


def _calls(message: Message) -> list[Any]:
    """Return the calls of a message with parsed arguments, including the older `function_call`."""
    fields = cast(Mapping[str, Any], message)
    older = [_parsed({"function": fields["function_call"]})] if fields.get("function_call") else []
    calls = _with_parsed_arguments(message).get("tool_calls")
    return [*older, *(calls if isinstance(calls, list) else [])]


def tool_names(tools: Tools | None) -> list[str]:
    """Return the names of the functions that a model may call."""
    functions = [tool.get("function", tool) for tool in tools or []]
    return [str(function["name"]) for function in functions if isinstance(function, Mapping) and "name" in function]
