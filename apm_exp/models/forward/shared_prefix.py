"""Hidden states of sequences that begin alike: what they share is computed once, in one row (row.py).

Shape letters: S sequences, K places in each, H hidden size.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from apm_exp.core.errors import library_error
from apm_exp.core.rounding import rounding_of
from apm_exp.models.context import context_length
from apm_exp.models.forward.choose import fastest, mixing_layers
from apm_exp.models.forward.row import make_row

logger = logging.getLogger(__name__)
Ids = Sequence[Sequence[int]]  # the tokens of each sequence
Scores = Callable[[Ids, Sequence[int]], Tensor]  # sequences and their owners to [S]
_FEW: Ids = ([3, 1, 4, 1, 5, 9, 2, 6], [3, 1, 4, 1, 5, 3, 5], [9, 7, 2, 3, 8, 4], [9, 7])
_LONG: Ids = ([2, 7, 1] * 48, [2, 7, 1] * 30 + [8, 2] * 3)  # longer than one block of the row's attention
_FLOAT32, _ROUNDED = 1e-4, 0.1  # relative to the largest score


def hidden_states(backbone: Any, sequences: Ids, owners: Sequence[int], places: Ids) -> Tensor:
    """Return the hidden states at `places`, indices into each sequence, [S, K, H].

    Adjacent sequences of one owner (a prompt with several responses) are computed with their common prefix once. The
    backbone's attention is one that accepts rows (choose_sharing).
    """
    prompts, starts, shared_S = [], [], []
    start = 0
    for group in _groups(sequences, owners):
        shared = _in_common(group)
        prompts.append((group[0][:shared], [[*ids[shared:], 0] for ids in group]))  # a row omits the last token
        next_start = start + shared
        for ids in group:
            starts.append((start, next_start - shared))
            next_start += len(ids) - shared
            shared_S.append(shared)
        start = next_start
    row = make_row(prompts, backbone.device)
    output = backbone(input_ids=row.input_ids, position_ids=row.position_ids, row=row, use_cache=False)
    index_SK = [
        [place + (first if place < shared else own) for place in each]
        for (first, own), shared, each in zip(starts, shared_S, places, strict=True)
    ]
    return output.last_hidden_state[0][torch.tensor(index_SK, device=row.input_ids.device)]


def _groups(sequences: Ids, owners: Sequence[int]) -> Iterator[list[list[int]]]:
    """Yield adjacent sequences with one owner together; each alone if they do not begin alike."""
    for _, items in groupby(zip(owners, sequences, strict=True), key=lambda item: item[0]):
        group = [list(ids) for _, ids in items]
        alike = len({ids[0] for ids in group}) == 1
        yield from [group] if alike else [[ids] for ids in group]


def _in_common(group: list[list[int]]) -> int:
    """Return with how many equal tokens all sequences begin."""
    first, last = min(group), max(group)  # what these two share, all between them share
    return next((index for index, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))


def choose_sharing(backbone: Any, shared: Scores, plain: Scores, first: Sequence[int] = ()) -> bool:
    """Return whether `shared` gives the scores of `plain` on a few tokens; the backbone then accepts rows.

    first: tokens with which each of the few sequences is to begin.

    Otherwise, as for an encoder or a model with layers that mix the tokens of a row, its attention is unchanged, and
    the reason is logged.
    """
    before, most = backbone.config._attn_implementation, context_length(backbone)
    short = most is not None and most < len(first) + len(_LONG[0])
    few = [[*first, *ids] for ids in (_FEW if short else (*_FEW, *_LONG))]
    with torch.inference_mode():
        expected = torch.cat([plain([ids], [0]) for ids in few]).float()
    problem = mixing_layers(backbone.config)
    for attention in () if problem else fastest(backbone.device):
        problem = _problem(backbone, attention, few, shared, expected)
        if problem is None:
            return True
    backbone.set_attn_implementation(before)
    logger.info("%s %s; prompts are computed once for each response", type(backbone).__name__, problem)
    return False


def _problem(backbone: Any, attention: str, few: Ids, shared: Scores, expected: Tensor) -> str | None:
    """Return why the backbone cannot share prefixes with this attention, or None."""
    try:
        backbone.set_attn_implementation(attention)
        with torch.inference_mode():
            scores = shared(few, [index // 2 for index in range(len(few))]).float()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # in the model's own code
        return f"cannot share prompts ({library_error(error)[:200]})"
    difference = (scores - expected).abs().max() / expected.abs().max()
    limit = _FLOAT32 if rounding_of(backbone) == "float32" else _ROUNDED
    return None if difference <= limit else f"gives other scores with shared prompts (by {difference.item():.2g})"
