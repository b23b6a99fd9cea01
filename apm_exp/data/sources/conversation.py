"""Parsing of a row's prompt and two responses, in any of the supported formats.

Text or messages, with or without a prompt column, and with or without the prompt repeated in chosen and rejected; turns
before the response, including system turns, are kept in the prompt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apm_exp.core.messages import fields_of, says_something, text_of
from apm_exp.core.types import Message, Tools
from apm_exp.data.sources.before import with_history, with_system
from apm_exp.data.sources.message import objects_of
from apm_exp.data.sources.rows import BadRow
from apm_exp.data.sources.transcript import is_transcript_prompt, transcript_messages
from apm_exp.data.sources.turns import text_or_messages


@dataclass(frozen=True)
class Conversations:
    """A prompt with two alternative assistant messages. tools: the functions that the assistant may call."""

    prompt: list[Message]
    chosen: Message
    rejected: Message
    tools: Tools | None


def split_pair(row: Mapping[str, Any]) -> Conversations:
    """Return the two conversations of a row with the columns of `with_known_columns`.

    Raises BadRow: null, wrong type, unknown role, not a transcript, last turn not the assistant's, prompts differ,
    empty prompt, prompt that ends with the assistant's turn, empty response, chosen equals rejected.
    """
    column = text_or_messages(row["prompt"], "prompt") if "prompt" in row else None
    chosen, rejected = (text_or_messages(row[name], name) for name in ("chosen", "rejected"))
    if isinstance(chosen, str) != isinstance(rejected, str):
        raise BadRow("wrong type", "one of chosen and rejected is text and the other is messages")
    if isinstance(chosen, str) and isinstance(rejected, str) and column is not None:
        context: list[Message] = []
        prompt, good, bad = _prompt(column, []), _response(chosen), _response(rejected)
    else:
        turns = _turns(chosen, "chosen")
        prompt, good, bad = _split_messages(column, turns, _turns(rejected, "rejected"))
        context = turns[:-1]
    prompt = with_system(with_history(prompt, row.get("history")), row.get("system"))
    refuse_empty_prompt(prompt, "no turn before the response has any text")
    _refuse_answered(prompt, context)
    _refuse_empty(good, bad)
    return Conversations(prompt, good, bad, tools_of(row))


def prompt_of(row: Mapping[str, Any]) -> list[Message]:
    """Return the prompt of a row without responses, from its column `prompt`; BadRow if it is not a prompt."""
    prompt = _prompt(text_or_messages(row["prompt"], "prompt"), [])
    prompt = with_system(with_history(prompt, row.get("history")), row.get("system"))
    refuse_empty_prompt(prompt, "no turn has any text")
    if prompt[-1]["role"] == "assistant":
        raise BadRow("last turn is the assistant's", "there is nothing to respond to; leave out that turn")
    return prompt


def tools_of(row: Mapping[str, Any]) -> Tools | None:
    """Return the column `tools`, a list of objects or its JSON text; None if there are none."""
    tools = row.get("tools")
    if not tools or (isinstance(tools, str) and tools.strip() in ("", "null")):
        return None
    return objects_of(tools, "tools") or None


def refuse_empty_prompt(prompt: list[Message], detail: str) -> None:
    """Raise BadRow if no turn except system turns has content."""
    if not any(says_something(turn) for turn in prompt if turn["role"] not in {"system", "developer"}):
        raise BadRow("empty prompt", detail)


def _refuse_answered(prompt: list[Message], context: list[Message]) -> None:
    """Raise BadRow if the prompt ends with a response: often the chosen one, or the start of one (a prefill).

    An assistant turn before the response is accepted if the turns of chosen, `context`, end with it.
    """
    if prompt[-1]["role"] == "assistant" and (not context or context[-1]["role"] != "assistant"):
        remedy = "leave that turn out of the prompt, or write it into chosen and rejected if they go on from it"
        raise BadRow("prompt ends with the assistant's turn", f"{text_of(prompt[-1])[:40]!r}; {remedy}")


def _response(text: str) -> Message:
    return {"role": "assistant", "content": text}


def _turns(side: str | list[Message], name: str) -> list[Message]:
    return transcript_messages(side, name) if isinstance(side, str) else side


def _split_messages(
    column: str | list[Message] | None, chosen: list[Message], rejected: list[Message]
) -> tuple[list[Message], Message, Message]:
    for name, turns in (("chosen", chosen), ("rejected", rejected)):
        if not turns:
            raise BadRow("empty response", f"{name} has no messages")
        if turns[-1]["role"] != "assistant":
            raise BadRow("last turn is not the assistant's", f"{name} ends with {turns[-1]['role']}'s turn")
    if chosen[:-1] != rejected[:-1]:
        raise BadRow("prompts differ", "chosen and rejected differ before their last turn")
    return _prompt(column, chosen[:-1]), chosen[-1], rejected[-1]


def _prompt(column: str | list[Message] | None, context: list[Message]) -> list[Message]:
    """Return the prompt of a row from its prompt column and the turns before the responses.

    As in SimPO, turns take precedence over a text prompt, unless they start with the assistant's. Of two message lists,
    one must contain the other as its start or end; the longer one is kept.
    """
    if isinstance(column, list):
        return _merged(column, context)
    if column is None or (context and context[0]["role"] != "assistant"):
        return context
    if is_transcript_prompt(column):
        return _merged(transcript_messages(column, "prompt")[:-1], context)
    return [{"role": "user", "content": column}, *context]


def _merged(column: list[Message], context: list[Message]) -> list[Message]:
    if column and context and context[0]["role"] == "assistant" and column[-1]["role"] != "assistant":
        return column + context  # chosen and rejected have several further turns, and only the last one differs
    longer, shorter = (column, context) if len(column) >= len(context) else (context, column)
    if shorter in (longer[: len(shorter)], longer[len(longer) - len(shorter) :]):
        return longer
    raise BadRow("prompts differ", "the prompt column and the turns before the response of chosen differ")


def _refuse_empty(chosen: Message, rejected: Message) -> None:
    for name, response in (("chosen", chosen), ("rejected", rejected)):
        if not says_something(response):
            raise BadRow("empty response", f"{name} has no text")
    same = text_of(chosen).strip() == text_of(rejected).strip()  # chat templates trim: the tokens would be the same
    if same and fields_of(chosen) == fields_of(rejected):
        raise BadRow("chosen equals rejected", "the two responses are the same text")
