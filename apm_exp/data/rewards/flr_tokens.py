"""The tokens of follow-ups, and of the conversations that they continue.

A conversation is rendered with a placeholder as its follow-up, and ends before the placeholder: its last tokens are the
header of the follow-up's turn. The tokens of a follow-up are those of its text in that place, without the end token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from apm_exp.core.messages import read_messages, read_responses, read_tools, text_of
from apm_exp.core.types import Message, Refusal
from apm_exp.data.rewards.conversations import left_out
from apm_exp.data.rewards.flr_turns import Layout, follow_up, turns_of
from apm_exp.models.tokens.control import as_text
from apm_exp.models.tokens.render import CUT, chat_text, token_ids

if TYPE_CHECKING:
    import re

    from transformers import PreTrainedTokenizerBase

_PLACE = "\ue003"  # a private-use character, which no message has
_PROMPT, _RESPONSE = [Message(role="user", content="a")], Message(role="assistant", content="b")


@dataclass(frozen=True)
class FollowUpTokens:
    """The tokens of each follow-up after a conversation, and of what the template writes after it.

    merged: how many of the last tokens of a conversation are left out, as the tokenizer merges them with a follow-up's
    first word; they are then a part of the follow-up.
    """

    ids: list[list[int]]
    ends: list[list[int]]
    merged: int

    @property
    def longest(self) -> int:
        """Return the most tokens that follow a conversation."""
        return max(len(ids) + len(end) for ids, end in zip(self.ids, self.ends, strict=True))


def follow_up_tokens(
    tokenizer: "PreTrainedTokenizerBase", layout: Layout, texts: Sequence[str], label: str
) -> FollowUpTokens:
    """Return the tokens of the follow-ups. label: `reward.path=...`, for messages.

    Raises ValueError if the chat template does not accept a follow-up after a response, or does not write it as it is.
    """
    turns = turns_of(layout, _PROMPT, _RESPONSE)
    assert not isinstance(turns, Refusal)
    before, after = _around(_rendered(tokenizer, [*turns, follow_up(layout, _PLACE)], label))
    for text in texts:
        if _rendered(tokenizer, [*turns, follow_up(layout, text)], label) != before + text + after:
            raise ValueError(f"{label}: its chat template changes the follow-up {text!r}; edit it in reward.follow_ups")
    header, *whole = token_ids(tokenizer, [before, *(before + text for text in texts)])
    closed = token_ids(tokenizer, [before + text + after for text in texts])
    same = min(_same(header, ids) for ids in whole)
    ends = [long[len(ids) :] for ids, long in zip(whole, closed, strict=True)]
    return FollowUpTokens([ids[same:] for ids in whole], ends, len(header) - same)


def _same(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens are the same at the beginning of both."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))


def _rendered(tokenizer: "PreTrainedTokenizerBase", messages: list[Message], label: str) -> str:
    text = chat_text(tokenizer, messages, generation_prompt=False)
    written = not isinstance(text, Refusal) and (text_of(messages[-1]) != _PLACE or _PLACE in text)
    if isinstance(text, Refusal) or not written:
        detail = text.detail if isinstance(text, Refusal) else "it does not write it"
        problem = f"its chat template does not accept a {messages[-1]['role']}'s turn after a response: {detail}"
        raise ValueError(f"{label}: {problem}; use a model whose template does")
    return text


def _around(text: str) -> tuple[str, str]:
    before, _, after = text.rpartition(_PLACE)
    return before, after


def before_follow_ups(
    tokenizer: "PreTrainedTokenizerBase", pattern: "re.Pattern[str]", layout: Layout, row: Mapping[str, Any]
) -> list[str] | Refusal:
    """Return the text before a follow-up, for each response of a row; control tokens in messages are split by CUT."""
    prompt, tools = read_messages(row["prompt"]), read_tools(row.get("tools"))
    texts = []
    for response in read_responses(row["responses"], row.get("response_extras")):
        turns = turns_of(layout, prompt, response)
        text: str | Refusal | None = None
        if not isinstance(turns, Refusal):
            messages = [*as_text(pattern, turns), follow_up(layout, _PLACE)]
            text = chat_text(tokenizer, messages, generation_prompt=False, tools=as_text(pattern, tools))
        problem = next((each for each in (turns, text) if isinstance(each, Refusal)), None)
        reason = problem.detail if problem else _lacking(str(text), response, row, layout)
        if reason:
            return Refusal("no reward", f"prompt starting {text_of(prompt[-1])[:60]!r}: {reason}")
        texts.append(_around(str(text))[0])
    return texts


def _lacking(text: str, response: Message, row: Mapping[str, Any], layout: Layout) -> str | None:
    if _PLACE not in text:
        return "the chat template does not write a turn after it"
    return left_out(text.replace(CUT, ""), response, read_tools(row.get("tools"))) if layout == "base" else None
