"""The tokens of each row's prompt and of what the policy would have written for each response."""

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from apm_exp.core.messages import read_messages, read_responses, read_tools, text_of
from apm_exp.core.types import Refusal
from apm_exp.data.rewards.conversation_ids import OnTooLong
from apm_exp.models.tokens.pairs import tokenize_pairs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


class PromptedRow(NamedTuple):
    """A prompt with its responses, as tokens; each response has its end token unless it was truncated."""

    prompt: list[int]
    responses: list[list[int]]


def prompted_ids(
    tokenizer: "PreTrainedTokenizerBase", responses: pa.Table, max_length: int, on_too_long: OnTooLong, label: str
) -> list[PromptedRow | None]:
    """Return the tokens of each row, as pairs are scored with; None for a row without rewards.

    Responses are truncated so that no one is longer than max_length with its prompt. A row has no rewards if the chat
    template refuses a part of it, or if its prompt leaves no room. All of these are counted in warnings. Raises
    ValueError if no row is left, and if on_too_long=error and one is too long.
    """
    rows = [_row(tokenizer, row) for row in responses.to_pylist()]
    lengths = [len(row.prompt) + len(ids) for row in rows if isinstance(row, PromptedRow) for ids in row.responses]
    if longer := sum(length > max_length for length in lengths):
        problem = f"{longer} of {len(lengths)} responses have more than reward.max_length={max_length} tokens"
        if on_too_long == "error":
            remedy = f"set reward.max_length={max(lengths)}, or reward.on_too_long=truncate"
            raise ValueError(f"reward.on_too_long=error: {problem} with their prompt; {remedy}")
        logger.warning("%s: %s and were truncated", label, problem)
    cut = [row if isinstance(row, Refusal) else _cut(row, max_length) for row in rows]
    if refused := [row for row in cut if isinstance(row, Refusal)]:
        problem = f"{label}: {len(refused)} of {len(cut)} rows have no reward, the first: {refused[0].detail}"
        if len(refused) == len(cut):
            raise ValueError(problem)
        logger.warning("%s", problem)
    return [None if isinstance(row, Refusal) else row for row in cut]


def _row(tokenizer: "PreTrainedTokenizerBase", row: dict[str, Any]) -> PromptedRow | Refusal:
    prompt, tools = read_messages(row["prompt"]), read_tools(row.get("tools"))
    responses = [[each] for each in read_responses(row["responses"], row.get("response_extras"))]
    count = len(responses)
    pairs = tokenize_pairs(tokenizer, "text", [prompt] * count, responses, responses, [tools] * count)
    refused = next((pair for pair in pairs if isinstance(pair, Refusal)), None)
    if refused is not None:
        detail = f"prompt starting {text_of(prompt[-1])[:60]!r}: {refused.reason}: {refused.detail}"
        return Refusal("no reward", detail)
    whole = [pair for pair in pairs if not isinstance(pair, Refusal)]
    return PromptedRow(whole[0].prompt_ids, [pair.chosen_ids for pair in whole])


def _cut(row: PromptedRow, max_length: int) -> PromptedRow | Refusal:
    room = max_length - len(row.prompt)
    if room <= 0:
        return Refusal("no reward", f"a prompt of {len(row.prompt)} tokens; set reward.max_length above that")
    return PromptedRow(row.prompt, [ids[:room] for ids in row.responses])
