"""Decode responses token by token, in batches in which rows that have ended make room for others."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from apm_exp.data.generate.choose_rows import Rows, choose_rows
from apm_exp.data.generate.draw import logp_of

_ENDED = 1 / 8  # share of rows that have ended at which they leave, since that copies the keys of the others
Draw = Callable[[Tensor, Tensor], Tensor]  # (logits, uniform numbers) -> a token for each row
Place = TypeVar("Place")  # the name of a response
Group = tuple[Sequence[int], Sequence[Place]]  # a prompt, and responses to it that are sampled together
Ended = tuple[Place, list[int], float]  # a response, its tokens, its log-prob (nats, temperature 1)


@dataclass
class _Row(Generic[Place]):
    """A response in the batch. uniform_T: draws its tokens; ids: those that have been drawn."""

    place: Place
    uniform_T: np.ndarray
    ids: list[int] = field(default_factory=list)
    has_ended: bool = False

    def next_number(self) -> float:
        """Return the number that draws the next token; rows that have ended draw tokens that are not used."""
        return 0.0 if self.has_ended else float(self.uniform_T[len(self.ids)])

    def append(self, token: int, ends: Collection[int]) -> bool:
        """Append a token; return whether the response ends with it."""
        self.ids.append(token)
        self.has_ended = token in ends or len(self.ids) == len(self.uniform_T)
        return self.has_ended


def decode(
    model: Any,
    groups: Sequence[Group[Place]],
    numbers: Callable[[Place], np.ndarray],
    draw: Draw,
    batch_size: int,
) -> Iterator[Ended[Place]]:
    """Yield each response as soon as it ends, with an end token of model.generation_config or with its last number.

    numbers: returns the uniform numbers of a response, one for each of its tokens. No more than batch_size responses
    are sampled at once, except for those of a larger group.
    """
    with choose_rows(model) as rows:
        yield from _decode(rows, deque(groups), numbers, draw, batch_size, model.generation_config.eos_token_id)


def _decode(
    rows: Rows,
    waiting: deque[Group[Place]],
    numbers: Callable[[Place], np.ndarray],
    draw: Draw,
    batch_size: int,
    ends: Collection[int],
) -> Iterator[Ended[Place]]:
    batch: list[_Row[Place]] = []
    logits_RV, logp_R = torch.empty(0), torch.empty(0)
    while True:
        kept = [index for index, row in enumerate(batch) if not row.has_ended]
        if len(batch) - len(kept) >= _ENDED * len(batch) and (rows.may_leave or not kept):
            joining = _joining(waiting, batch_size, len(kept)) if rows.may_join or not kept else []
            if not joining and not kept:
                return
            of_prompt = [index for index, (_, places) in enumerate(joining) for _ in places]
            first_NV = rows.change(kept, [prompt for prompt, _ in joining], of_prompt)
            logits_RV, logp_R = _changed(kept, logits_RV, logp_R, first_NV)
            places = (place for _, each in joining for place in each)
            batch = [*(batch[index] for index in kept), *(_Row(place, numbers(place)) for place in places)]
        token_R, logp_R = _drawn(logits_RV, logp_R, [row.next_number() for row in batch], draw)
        for index, (row, token) in enumerate(zip(batch, token_R.tolist(), strict=True)):
            if not row.has_ended and row.append(token, ends):
                yield row.place, row.ids, float(logp_R[index])
        if not all(row.has_ended for row in batch):
            logits_RV = rows.logits(token_R)


def _joining(waiting: deque[Group[Place]], batch_size: int, present: int) -> list[Group[Place]]:
    """Return the next groups, as many as there is room for."""
    joining = []
    while waiting and (present == 0 or present + len(waiting[0][1]) <= batch_size):
        joining.append(waiting.popleft())
        present += len(joining[-1][1])
    return joining


@torch.inference_mode()
def _changed(kept: Sequence[int], logits_RV: Tensor, logp_R: Tensor, first_NV: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the logits and the log-probs up to now of the rows that are kept, followed by those of the new rows."""
    if first_NV is None:
        return logits_RV[list(kept)], logp_R[list(kept)]
    none_N = torch.zeros(len(first_NV), dtype=torch.float64, device=first_NV.device)
    if not kept:
        return first_NV, none_N
    return torch.cat([logits_RV[list(kept)], first_NV]), torch.cat([logp_R[list(kept)], none_N])


@torch.inference_mode()
def _drawn(logits_RV: Tensor, logp_R: Tensor, numbers: Sequence[float], draw: Draw) -> tuple[Tensor, Tensor]:
    """Return a token for each row, and the log-probs including it."""
    token_R = draw(logits_RV, torch.tensor(numbers, dtype=torch.float64, device=logits_RV.device))
    return token_R, logp_R + logp_of(logits_RV, token_R)
