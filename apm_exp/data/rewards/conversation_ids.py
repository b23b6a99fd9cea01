"""The tokens of the conversations that a reward model reads, with what is refused or truncated counted in warnings."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from apm_exp.core.digest import text_digest
from apm_exp.core.types import Refusal
from apm_exp.data.rewards.conversations import conversations
from apm_exp.data.rewards.sequence_scores import Conversation
from apm_exp.models.tokens.control import control_pattern
from apm_exp.models.tokens.render import CUT, token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)
OnTooLong = Literal["truncate", "error"]
Row = list[list[int]]  # the tokens of the conversation with each response
Render = Callable[[Mapping[str, Any]], list[str] | Refusal]  # the texts that are read for the responses of a row
_ROWS_AT_ONCE = 1000


def nothing(_ids: Sequence[int]) -> int:
    """Need none of a conversation's tokens."""
    return 0


@dataclass(frozen=True)
class Limits:
    """Token limits of a conversation.

    positions: those that the model states, None without a limit. needs: how many of a conversation's first tokens the
    model cannot do without; a row that truncation leaves with fewer has no rewards.
    """

    max_length: int
    positions: int | None
    on_too_long: OnTooLong
    needs: Callable[[Sequence[int]], int] = nothing


def chat_tokenizer(folder: Path, label: str, trust_remote_code: bool) -> "PreTrainedTokenizerBase":
    """Load a reward model's tokenizer. Raises a one-line ValueError if it has no chat template."""
    from apm_exp.models.load import tokenizer_from

    tokenizer = tokenizer_from(folder, label, trust_remote_code)
    if not tokenizer.chat_template:
        raise ValueError(f"{label}: its tokenizer has no chat template; add one to the folder as chat_template.jinja")
    return tokenizer


def conversation_ids(
    tokenizer: "PreTrainedTokenizerBase", responses: pa.Table, limits: Limits, label: str
) -> list[Row | None]:
    """Return the tokens of each row's conversations, truncated to max_length; None for a row without rewards.

    These are rows that the template does not accept, and rows with a response that is longer than the model's positions
    if max_length does not truncate it. Raises ValueError if no row is left, and if on_too_long=error and a conversation
    is too long.
    """
    rows = rendered_ids(tokenizer, responses, partial(conversations, tokenizer, control_pattern(tokenizer)), label)
    return _cut(_within_positions(rows, limits, label), limits, label)


def rendered_ids(
    tokenizer: "PreTrainedTokenizerBase", responses: pa.Table, render: Render, label: str
) -> list[Row | None]:
    """Return the tokens of the texts that `render` returns for each row; None for a row that it refuses.

    Raises ValueError if it refuses all rows.
    """
    rows: list[Row | None] = []
    refused: list[str] = []
    spelled = 0
    for start in range(0, len(responses), _ROWS_AT_ONCE):
        texts = [render(row) for row in responses.slice(start, _ROWS_AT_ONCE).to_pylist()]
        written = [row for row in texts if not isinstance(row, Refusal)]
        tokens = iter(token_ids(tokenizer, [text for row in written for text in row]))
        rows += [None if isinstance(row, Refusal) else [next(tokens) for _ in row] for row in texts]
        refused += [row.detail for row in texts if isinstance(row, Refusal)]
        spelled += sum(CUT in text for row in written for text in row)
    _say_refused(refused, len(responses), label)
    if spelled:
        problem = "conversations contain a control token of the reward model, which is tokenized as plain text"
        logger.warning("%s: %d %s", label, spelled, problem)
    return rows


def named(rows: Sequence[Row | None]) -> tuple[dict[str, Conversation], list[list[str] | None]]:
    """Return the different conversations by name, and the names of each row's; equal ones are scored once."""
    names = [None if row is None else [text_digest(json.dumps(ids)) for ids in row] for row in rows]
    different: dict[str, Conversation] = {}
    for index, (row, own) in enumerate(zip(rows, names, strict=True)):
        for ids, name in zip(row or (), own or (), strict=True):
            different.setdefault(name, Conversation(ids, index))
    return different, names


def in_rows(names: Sequence[Sequence[str] | None], scores: Mapping[str, float]) -> list[list[float] | None]:
    """Return the score of each conversation of each row."""
    return [None if row is None else [scores[name] for name in row] for row in names]


def _say_refused(refused: list[str], rows: int, label: str) -> None:
    problem = f"{label}: its chat template does not accept"
    if refused and len(refused) == rows:
        raise ValueError(f"{problem} any of the {rows} conversations, the first: {refused[0]}")
    if refused:
        logger.warning("%s %d of %d conversations, the first: %s", problem, len(refused), rows, refused[0])


def _within_positions(rows: list[Row | None], limits: Limits, label: str) -> list[Row | None]:
    """Return the rows, None for those that are longer than the model's positions and are not truncated to them."""
    most = limits.positions
    if most is None or most >= limits.max_length:
        return rows
    longest = [max(map(len, row), default=0) if row else 0 for row in rows]
    longer = [length for length in longest if length > most]
    if longer:
        problem = f"{label}: {len(longer)} of {len(rows)} conversations are longer (up to {max(longer)} tokens) than "
        problem += (
            f"the model's {most} positions and have no reward; reward.max_length={most} truncates and scores them"
        )
        if len(longer) == len(rows) or limits.on_too_long == "error":
            raise ValueError(problem)
        logger.warning("%s", problem)
    return [None if length > most else row for row, length in zip(rows, longest, strict=True)]


def _cut(rows: list[Row | None], limits: Limits, label: str) -> list[Row | None]:
    lengths = [len(ids) for row in rows for ids in row or ()]
    if longer := sum(length > limits.max_length for length in lengths):
        problem = f"{longer} of {len(lengths)} responses have more than reward.max_length={limits.max_length} tokens"
        if limits.on_too_long == "error":
            remedy = f"set reward.max_length={max(lengths)}, or reward.on_too_long=truncate"
            raise ValueError(f"reward.on_too_long=error: {problem} with their prompt; {remedy}")
        logger.warning("%s: %s and were truncated", label, problem)
    kept = [row if _leaves_enough(row, limits) else None for row in rows]
    if lost := sum(row is not None for row in rows) - sum(row is not None for row in kept):
        needed = max(limits.needs(ids) for row in rows for ids in row or ())
        problem = (
            f"{label}: reward.max_length={limits.max_length} truncates {lost} of {len(rows)} conversations before "
        )
        problem += f"their response begins, so that they have no reward; set reward.max_length above {needed}"
        if lost == len(rows):
            raise ValueError(problem)
        logger.warning("%s", problem)
    return [row and [ids[: limits.max_length] for ids in row] for row in kept]


def _leaves_enough(row: Row | None, limits: Limits) -> bool:
    needs = [limits.needs(ids) for ids in row or ()]  # of all, as it may raise
    cut = [len(ids) > limits.max_length for ids in row or ()]
    return not any(is_cut and needed >= limits.max_length for needed, is_cut in zip(needs, cut, strict=True))
