"""Pairs to text to tokens: the prompt as in generation, followed by what the policy would write.

The prompt's tokens are those of `template(prompt, add_generation_prompt=True)`, the same for both responses. A response
is its text and the template's end of turn (turn_end). Most templates render a whole conversation as the prompt followed
by these two; the text then has the white space that the template writes. Templates that render a whole conversation
differently (those that delete thinking sections, or move the system turn to the last user turn) are accepted, and the
difference is recorded. Only a response that is more than text (tool calls, reasoning in a
separate field) is taken from the template's rendering.

A response's tokens are those that follow the prompt's when prompt and response are tokenized together: some tokenizers
treat the start of a text specially (Llama-2 and Mistral add a space), so the response alone would have other tokens
than a model writes. If a token spans the end of the prompt and the start of the response (a response that starts with a
newline after ChatML's header), a model that was given the prompt cannot write that token; then the response is
tokenized alone, if that decodes to the same text.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from apm_exp.core.types import Message, Refusal, TokenizedPair, Tools
from apm_exp.models.tokens.control import ControlTokens, checked, control_pattern
from apm_exp.models.tokens.render import chat_text, token_ids
from apm_exp.models.tokens.response import LEFT_OUT, REMEDY, Written, response_text
from apm_exp.models.tokens.shorten import shortened
from apm_exp.models.tokens.tool_calls import not_written, tool_names
from apm_exp.models.tokens.turn_end import TurnEnd, turn_end

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class _Texts(NamedTuple):
    prompt: str
    chosen: Written
    rejected: Written


def tokenize_pairs(
    tokenizer: "PreTrainedTokenizerBase",
    control_tokens: ControlTokens,
    prompts: Sequence[list[Message]],
    chosen: Sequence[list[Message]],
    rejected: Sequence[list[Message]],
    tools: Sequence[Tools | None],
    most: int | None = None,
) -> list[TokenizedPair | Refusal]:
    """Return the tokens of each pair, not truncated; each response includes its one end token.

    most: how many tokens are kept of a text; of a far longer one only the first and the last are returned (shorten.py).
    tools: those that each prompt offers. Refused: a conversation that the template does not accept or of which it omits
    a part, a message that contains a control token unless control_tokens is "text", a response of which nothing is
    left, and a text too long to tokenize. Raises ValueError as turn_end.
    """
    end, pattern = turn_end(tokenizer), control_pattern(tokenizer)
    rows = zip(prompts, chosen, rejected, tools, strict=True)
    texts = [_short(tokenizer, _texts(tokenizer, end, pattern, control_tokens, *row), most) for row in rows]
    whole = [text for text in texts if not isinstance(text, Refusal)]
    ids = iter(
        zip(
            whole,
            token_ids(tokenizer, [text.prompt for text in whole]),
            token_ids(tokenizer, [text.prompt + text.chosen.text for text in whole]),
            token_ids(tokenizer, [text.prompt + text.rejected.text for text in whole]),
            strict=True,
        )
    )
    return [text if isinstance(text, Refusal) else _pair(tokenizer, end, *next(ids)) for text in texts]


def _texts(
    tokenizer: "PreTrainedTokenizerBase",
    end: TurnEnd,
    pattern: re.Pattern[str],
    control_tokens: ControlTokens,
    prompt: list[Message],
    chosen: list[Message],
    rejected: list[Message],
    tools: Tools | None,
) -> _Texts | Refusal:
    messages = checked(pattern, (prompt, chosen, rejected), tools, control_tokens)
    if isinstance(messages, Refusal):
        return messages
    (prompt, chosen, rejected), tools = messages
    text = prompt_text(tokenizer, prompt, tools)
    if isinstance(text, Refusal):
        return text
    sides = [response_text(tokenizer, end, text, prompt, side, tools) for side in (chosen, rejected)]
    refused = next((side for side in sides if isinstance(side, Refusal)), None)
    return refused or _Texts(text, *sides)  # type: ignore[arg-type]


def _short(tokenizer: "PreTrainedTokenizerBase", texts: _Texts | Refusal, most: int | None) -> _Texts | Refusal:
    if isinstance(texts, Refusal) or most is None:
        return texts
    short = shortened(tokenizer, (texts.prompt, texts.chosen.text, texts.rejected.text), most)
    if isinstance(short, Refusal):
        return short
    prompt, chosen, rejected = short
    return _Texts(prompt, texts.chosen._replace(text=chosen), texts.rejected._replace(text=rejected))


def prompt_text(tokenizer: "PreTrainedTokenizerBase", prompt: list[Message], tools: Tools | None) -> str | Refusal:
    """Return the prompt as in generation; a refusal if the template does not accept it or omits a part of it."""
    text = chat_text(tokenizer, prompt, generation_prompt=True, tools=tools)
    if isinstance(text, Refusal):
        return text
    unseen = next((f"the tool {name}" for name in tool_names(tools) if name not in text), None)
    lacking = unseen or not_written(text, prompt, response=False)
    return text if lacking is None else Refusal(LEFT_OUT, f"{lacking}; {REMEDY}")


def _pair(
    tokenizer: "PreTrainedTokenizerBase", end: TurnEnd, texts: _Texts, prompt_ids: list[int], *wholes: list[int]
) -> TokenizedPair | Refusal:
    last = [] if end.written else [end.token_id]
    chosen, rejected = (
        _continuation(tokenizer, prompt_ids, written.text, ids)
        for written, ids in zip((texts.chosen, texts.rejected), wholes, strict=True)
    )
    if isinstance(chosen, Refusal) or isinstance(rejected, Refusal):
        return chosen if isinstance(chosen, Refusal) else rejected  # type: ignore[return-value]
    differs = texts.chosen.differs or texts.rejected.differs
    return TokenizedPair(prompt_ids, chosen + last, rejected + last, differs=differs)


def _continuation(
    tokenizer: "PreTrainedTokenizerBase", prompt_ids: list[int], response: str, whole_ids: list[int]
) -> list[int] | Refusal:
    """Return the response's token ids, as described at the top of this file."""
    if whole_ids[: len(prompt_ids)] == prompt_ids:
        return whole_ids[len(prompt_ids) :]
    alone = token_ids(tokenizer, [response])[0]
    whole, parts = (tokenizer.decode(ids) for ids in (whole_ids, prompt_ids + alone))
    if whole != parts:
        return Refusal("prompt and response merge into one token", f"response starting {response[:40]!r}")
    return alone


def how_cut(
    pair: TokenizedPair, prompt_ids: list[int], chosen_ids: list[int], rejected_ids: list[int]
) -> tuple[bool, int, str]:
    """Return whether the prompt was truncated, how many responses were, and the pair's `differs`."""
    cut_responses = (len(chosen_ids) < len(pair.chosen_ids)) + (len(rejected_ids) < len(pair.rejected_ids))
    return len(prompt_ids) < len(pair.prompt_ids), cut_responses, pair.differs
