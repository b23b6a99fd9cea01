"""The tokens of conversations before their follow-ups, of many rows; those that are truncated are counted."""

import logging
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from apm_exp.data.rewards.conversation_ids import Row, rendered_ids
from apm_exp.data.rewards.flr_tokens import before_follow_ups
from apm_exp.data.rewards.flr_turns import Layout
from apm_exp.models.tokens.control import control_pattern

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


def ids_before(
    tokenizer: "PreTrainedTokenizerBase", layout: Layout, responses: pa.Table, label: str, merged: int, most: int
) -> list[Row | None]:
    """Return the tokens before a follow-up, for each response of each row; None for a row that cannot be rendered.

    merged: how many of the last tokens belong to the follow-up instead. Conversations lose their first tokens if they
    have more than `most`; these are counted in a warning. Raises ValueError if no row can be rendered.
    """
    render = partial(before_follow_ups, tokenizer, control_pattern(tokenizer), layout)
    rows = [
        None if row is None else [ids[: len(ids) - merged] for ids in row]
        for row in rendered_ids(tokenizer, responses, render, label)
    ]
    every = [ids for row in rows for ids in row or ()]
    if cut := sum(len(ids) > most for ids in every):
        problem = f"have more than {most} tokens before the follow-up and lost their first ones"
        logger.warning("%s: %d of %d conversations %s", label, cut, len(every), problem)
    return [row and [ids[-most:] for ids in row] for row in rows]
