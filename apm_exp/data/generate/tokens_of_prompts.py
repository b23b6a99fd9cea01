"""Tokenize prompts for sampling, with the policy's chat template."""

from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from apm_exp.core.types import Message, Refusal, Tools
from apm_exp.models.tokens.control import ControlTokens, checked, control_pattern
from apm_exp.models.tokens.pairs import prompt_text
from apm_exp.models.tokens.render import token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Asked = tuple[list[Message], Tools | None]


def tokens_of_prompts(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    asked: Mapping[int, Asked],
    max_new_tokens: int,
    control_tokens: ControlTokens,
) -> tuple[dict[int, Sequence[int]], dict[int, Refusal]]:
    """Return the tokens of the prompts by their index, the longest first, and those that are refused in order."""
    from apm_exp.models.context import context_length

    room, pattern = context_length(model), control_pattern(tokenizer)
    safe = {index: checked(pattern, (prompt,), tools, control_tokens) for index, (prompt, tools) in asked.items()}
    usable: dict[int, Sequence[int]] = {}
    refused: dict[int, Refusal] = {}
    for index, prompt in sorted(safe.items()):
        ids = prompt if isinstance(prompt, Refusal) else _prompt_ids(tokenizer, room, prompt, max_new_tokens)
        if isinstance(ids, Refusal):
            refused[index] = ids
        else:
            usable[index] = array("i", ids)
    return dict(sorted(usable.items(), key=lambda item: -len(item[1]))), refused


def _prompt_ids(
    tokenizer: "PreTrainedTokenizerBase",
    room: int | None,
    asked: tuple[list[list[Message]], Tools | None],
    max_new_tokens: int,
) -> list[int] | Refusal:
    (prompt,), tools = asked
    text = prompt_text(tokenizer, prompt, tools)
    if isinstance(text, Refusal):
        return text
    ids = token_ids(tokenizer, [text])[0]
    if room is not None and len(ids) + max_new_tokens > room:
        detail = f"{len(ids)} tokens and {max_new_tokens} new ones; the model accepts {room}"
        return Refusal("prompt too long", detail)
    return ids
