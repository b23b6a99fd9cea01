"""Control tokens in the text of messages: read as tokens, they would end or start a turn inside a message."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from apm_exp.core.types import Message, Refusal
from apm_exp.models.tokens.render import CUT, THINKING, chat_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ControlTokens = Literal["refuse", "text"]
_USER, _RESPONSE = Message(role="user", content="\ue000"), Message(role="assistant", content="\ue001")
_SYSTEM = Message(role="system", content="\ue002")


def control_pattern(tokenizer: "PreTrainedTokenizerBase") -> re.Pattern[str]:
    """Return a pattern of the control tokens: the special tokens, and the added ones that the template writes around
    turns.

    Excluded are the marks of a thinking section, which is ordinary text, and pairs such as `<tool_call>` and
    `</tool_call>` that the tokenizer does not mark as special: models write them within a response.
    """
    special = {token.content: bool(token.special) for token in tokenizer.added_tokens_decoder.values()}
    special |= {str(token): True for token in tokenizer.all_special_tokens}
    written = "".join(_conversations(tokenizer))
    tokens = [
        token
        for token, is_special in special.items()
        if token.strip() and not THINKING.search(token)
        if is_special or (token in written and not _brackets(token, special))
    ]
    longest_first = sorted([CUT, *tokens], key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)))


def _conversations(tokenizer: "PreTrainedTokenizerBase") -> Iterator[str]:
    """Yield some conversations as rendered by the template, if it accepts them."""
    for turns in ([_USER, _RESPONSE, _USER], [_SYSTEM, _USER, _RESPONSE], [_USER]):
        text = chat_text(tokenizer, turns, generation_prompt=turns[-1] is _USER)
        if not isinstance(text, Refusal):
            yield text


def _brackets(token: str, added: Mapping[str, bool]) -> bool:
    """Return whether a token opens or closes a section: its counterpart, with or without a slash, is a token too."""
    other = token[:1] + token[2:] if token[1:2] == "/" else token[:1] + "/" + token[1:]
    return other in added


def spelled_out(pattern: re.Pattern[str], messages: Sequence[Message], tools: Any = None) -> str | None:
    """Return the first control token in the text of a message or tool, and its place, or None."""
    for value, where in (*((message, f"the {message['role']}'s turn") for message in messages), (tools, "the tools")):
        for text in _strings(value):
            if token := pattern.search(text):
                return f"{token[0]} in {where}"
    return None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


def as_text(pattern: re.Pattern[str], value: Any) -> Any:
    """Return the value with CUT after the first character of every control token, so that it is tokenized as text."""
    if isinstance(value, str):
        return pattern.sub(lambda token: token[0][:1] + CUT + token[0][1:], value)
    if isinstance(value, Mapping):
        return {name: as_text(pattern, item) for name, item in value.items()}
    return [as_text(pattern, item) for item in value] if isinstance(value, list | tuple) else value


def checked(
    pattern: re.Pattern[str], conversations: Sequence[list[Message]], tools: Any, control_tokens: ControlTokens
) -> tuple[list[list[Message]], Any] | Refusal:
    """Return conversations and tools without control tokens: refused if they contain one, or with each of them split.

    A token of one character cannot be split and is refused.
    """
    messages = [message for conversation in conversations for message in conversation]
    problem = spelled_out(pattern, messages, tools)
    if problem is None:
        return list(conversations), tools
    if control_tokens == "refuse" or len(problem.partition(" in ")[0]) < 2:
        return Refusal("a message contains a control token", problem)
    return cast(list[list[Message]], as_text(pattern, list(conversations))), as_text(pattern, tools)
