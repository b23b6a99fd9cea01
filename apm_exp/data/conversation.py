"""The prompt and the two answers of a row, whichever way the row gives them.

Text or messages, with or without a prompt column, with the prompt repeated in chosen and rejected or not;
turns before the answer, system turns too, are kept in the prompt.
"""

from collections.abc import Mapping
from typing import Any

from apm_exp.data.rows import BadRow
from apm_exp.data.transcript import is_transcript_prompt, transcript_messages
from apm_exp.types import Message

ROLES = {"system", "developer", "user", "assistant", "tool"}


def split_pair(row: Mapping[str, Any]) -> tuple[list[Message], str, str]:
    """The prompt and the text of the chosen and of the rejected answer.

    Raises BadRow: null, wrong type, unknown role, not a transcript, last turn not the assistant's, prompts
    differ, empty prompt, empty answer, chosen equals rejected.
    """
    column = _column(row, "prompt") if "prompt" in row else None
    chosen, rejected = _column(row, "chosen"), _column(row, "rejected")
    if isinstance(chosen, str) != isinstance(rejected, str):
        raise BadRow("wrong type", "one of chosen and rejected is text and the other is messages")
    if isinstance(chosen, str) and isinstance(rejected, str) and column is not None:
        prompt = _prompt(column, [])
    else:
        sides = _turns(chosen, "chosen"), _turns(rejected, "rejected")
        prompt, chosen, rejected = _split_messages(column, *sides)
    _refuse_empty(prompt, chosen, rejected)
    return prompt, chosen, rejected


def messages_of(content: Any, name: str) -> list[Message]:
    """A list of messages, each reduced to role and content; BadRow where it is not one."""
    if content is None:
        raise BadRow("null", f"{name} is null")
    if not isinstance(content, list):
        raise BadRow("wrong type", f"{name} is of type {type(content).__name__}, not text or messages")
    return [_message(turn, f"{name}[{number}]") for number, turn in enumerate(content)]


def _message(turn: Any, name: str) -> Message:
    if not isinstance(turn, Mapping) or not {"role", "content"} <= turn.keys():
        raise BadRow("wrong type", f"{name} is not a message with role and content")
    role, content = turn["role"], turn["content"]
    for field, text in (("role", role), ("content", content)):
        if text is None:
            raise BadRow("null", f"{name}.{field} is null")
        if not isinstance(text, str):
            raise BadRow("wrong type", f"{name}.{field} is of type {type(text).__name__}, not text")
    if role not in ROLES:
        raise BadRow("unknown role", f"{name}.role is {role[:40]!r}, not one of {', '.join(sorted(ROLES))}")
    return {"role": role, "content": content}


def _column(row: Mapping[str, Any], name: str) -> str | list[Message]:
    return row[name] if isinstance(row[name], str) else messages_of(row[name], name)


def _turns(side: str | list[Message], name: str) -> list[Message]:
    return transcript_messages(side, name) if isinstance(side, str) else side


def _split_messages(
    column: str | list[Message] | None, chosen: list[Message], rejected: list[Message]
) -> tuple[list[Message], str, str]:
    for name, turns in (("chosen", chosen), ("rejected", rejected)):
        if not turns:
            raise BadRow("empty answer", f"{name} has no messages")
        if turns[-1]["role"] != "assistant":
            raise BadRow("last turn is not the assistant's", f"{name} ends with {turns[-1]['role']}'s turn")
    if chosen[:-1] != rejected[:-1]:
        raise BadRow("prompts differ", "chosen and rejected differ before their last turn")
    return _prompt(column, chosen[:-1]), chosen[-1]["content"], rejected[-1]["content"]


def _prompt(column: str | list[Message] | None, context: list[Message]) -> list[Message]:
    """The prompt of a row from its prompt column and the turns before the answers.

    As in SimPO, turns win over a text prompt. Of two message lists one must repeat the other; the longer is
    kept.
    """
    if isinstance(column, list):
        return _merged(column, context)
    if context or column is None:
        return context
    if is_transcript_prompt(column):
        return transcript_messages(column, "prompt")[:-1]
    return [{"role": "user", "content": column}]


def _merged(column: list[Message], context: list[Message]) -> list[Message]:
    if column and context and context[0]["role"] == "assistant" and column[-1]["role"] != "assistant":
        return column + context  # chosen and rejected go on for several turns and only the last one differs
    longer, shorter = (column, context) if len(column) >= len(context) else (context, column)
    if shorter in (longer[: len(shorter)], longer[len(longer) - len(shorter) :]):
        return longer
    raise BadRow("prompts differ", "the prompt column and the turns before the answer of chosen differ")


def _refuse_empty(prompt: list[Message], chosen: str, rejected: str) -> None:
    if not any(turn["content"].strip() for turn in prompt if turn["role"] not in {"system", "developer"}):
        raise BadRow("empty prompt", "no turn before the answer has any text")
    for name, answer in (("chosen", chosen), ("rejected", rejected)):
        if not answer.strip():
            raise BadRow("empty answer", f"{name} has no text")
    if chosen.strip() == rejected.strip():  # chat templates trim, so the tokens would be the same
        raise BadRow("chosen equals rejected", "the two answers are the same text")
