"""The columns that precede a prompt: the system prompt, and earlier turns."""

import json
from typing import Any

from apm_exp.core.types import Message
from apm_exp.data.sources.rows import BadRow
from apm_exp.data.sources.turns import messages_of

_SYSTEM = ("system", "developer")


def with_system(prompt: list[Message], system: Any) -> list[Message]:
    """Return the prompt with the column `system` as its first turn; BadRow if it already has another system turn."""
    if system is None:
        return prompt
    if not isinstance(system, str):
        raise BadRow("wrong type", f"system is of type {type(system).__name__}, not text")
    if not system.strip():
        return prompt
    if not prompt or prompt[0]["role"] not in _SYSTEM:
        return [{"role": "system", "content": system}, *prompt]
    if prompt[0]["content"] != system:
        raise BadRow("prompts differ", f"the column system and the {prompt[0]['role']} turn of the prompt differ")
    return prompt


def with_history(prompt: list[Message], history: Any) -> list[Message]:
    """Return the prompt after the turns of the column `history`: pairs of a user's and an assistant's text, or
    messages.

    They are inserted after a system turn. A prompt that already starts with them is unchanged; BadRow if a prompt of
    several turns does not.
    """
    if not history or (isinstance(history, str) and history.strip() in ("", "[]", "null")):
        return prompt
    system = [turn for turn in prompt[:1] if turn["role"] in _SYSTEM]
    turns, earlier = prompt[len(system) :], _earlier(history)
    if turns[: len(earlier)] == earlier:
        return prompt
    if len(turns) > 1:
        raise BadRow("prompts differ", "the column history and the turns of the prompt differ")
    return [*system, *earlier, *turns]


def _earlier(history: Any) -> list[Message]:
    if isinstance(history, str):
        history = _of_json(history)
    if not isinstance(history, list) or not isinstance(history[0], list):
        return messages_of(history, "history")
    if not all(isinstance(pair, list) and len(pair) == 2 and all(isinstance(t, str) for t in pair) for pair in history):
        raise BadRow("wrong type", "history is not a list of pairs of texts (user's, assistant's), nor of messages")
    roles = ("user", "assistant")
    return [{"role": role, "content": text} for pair in history for role, text in zip(roles, pair, strict=True)]


def _of_json(history: str) -> list[Any]:
    """Return the list in a JSON text; BadRow if it is other text."""
    try:
        turns = json.loads(history)
    except (ValueError, RecursionError):
        turns = None
    if not isinstance(turns, list) or not turns:
        raise BadRow("wrong type", "history is text; write a list of pairs of texts (user's, assistant's), or messages")
    return turns
