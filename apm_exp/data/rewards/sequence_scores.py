"""Score token sequences with a reward model: longest first, in smaller batches if memory runs out."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from apm_exp.core.console import track
from apm_exp.core.results_file import read_results, record

logger = logging.getLogger(__name__)


class Conversation(NamedTuple):
    """The input of a reward model for one response: its tokens, and the row that it belongs to."""

    ids: list[int]
    row: int


Value = TypeVar("Value", float, list[float])  # the score of a conversation, or several
Score = Callable[[Sequence[Conversation]], list[Value]]


def per_batch(scores: Callable[[Sequence[list[int]], list[int]], Any]) -> Score[float]:
    """Return a function of conversations for one of their tokens and rows that returns a tensor, without gradients."""
    import torch

    @torch.inference_mode()
    def score(batch: Sequence[Conversation]) -> list[float]:
        result: list[float] = scores([each.ids for each in batch], [each.row for each in batch]).tolist()
        return result

    return score


def score_all(
    score: Score[Value], conversations: Mapping[str, Conversation], batch_size: int, scored: Path, label: str
) -> dict[str, Value]:
    """Return the score, or the scores, of each conversation by its name; those of an earlier attempt are reused.

    score: computes one batch. If memory runs out, reward.batch_size is halved, with a warning. label:
    `reward.path=...`, for messages. Raises ValueError if one conversation alone does not fit into memory, and for a
    score that is not finite.
    """
    known = dict(read_results(scored))
    if known:
        logger.info("%d of %d different responses were scored before", len(known), len(conversations))
    batches = form_batches(conversations, batch_size)
    # Known ones are removed after the batches are formed, so that a resumed attempt has the same batches.
    rest = [left for batch in batches if (left := [name for name in batch if name not in known])]
    new = record(_scores(score, conversations, rest, batch_size, label), dict, scored)
    each = track((item for batch in new for item in batch), "rewards: responses", sum(map(len, rest)))
    return known | dict(each)


def form_batches(conversations: Mapping[str, Conversation], batch_size: int) -> list[list[str]]:
    """Return the names of the conversations of each forward: longest first, those of a row together.

    A batch has at most batch_size conversations; only a row that has more of them is split.
    """
    from apm_exp.models.halving import fill

    def longest(group: list[str]) -> tuple[int, str]:
        return -len(conversations[group[0]].ids), group[0]

    in_rows = sorted(conversations, key=lambda name: (conversations[name].row, -len(conversations[name].ids), name))
    groups = [list(names) for _, names in groupby(in_rows, key=lambda name: conversations[name].row)]
    parts = [group[start : start + batch_size] for group in groups for start in range(0, len(group), batch_size)]
    return [list(chain.from_iterable(batch)) for batch in fill(sorted(parts, key=longest), len, batch_size)]


def _scores(
    score: Score[Value],
    conversations: Mapping[str, Conversation],
    batches: list[list[str]],
    batch_size: int,
    label: str,
) -> Iterator[list[tuple[str, Value]]]:
    """Yield the (name, score) of each batch, from one forward."""
    from apm_exp.models.halving import run_halving

    def run(batch: Sequence[str]) -> list[Value]:
        return score([conversations[name] for name in batch])

    too_large = partial(_too_large, conversations)
    size = min(batch_size, max(map(len, batches), default=1))
    for batch, scores in run_halving(run, batches, lambda _: 1, size, "reward.batch_size", too_large):
        _check_finite(scores, label)
        yield list(zip(batch, scores, strict=True))


def _too_large(conversations: Mapping[str, Conversation], name: str) -> str:
    return (
        f"reward.max_length: out of memory for one response alone ({len(conversations[name].ids)} tokens with its "
        "prompt), so a smaller reward.batch_size does not help; use a smaller reward.max_length or a larger device"
    )


def _check_finite(scores: Sequence[float | list[float]], label: str) -> None:
    if bad := sum(not np.isfinite(score).all() for score in scores):
        remedy = "set reward.dtype=float32, or check the model's weights"
        raise ValueError(f"{label}: {bad} of {len(scores)} rewards of a batch are not finite; {remedy}")
