"""Supervised fine-tuning of a tiny model: a plain loop over batches of equally long sequences, on one CPU thread."""

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from apm_exp.progress import track

_IGNORED = -100  # cross_entropy leaves these labels out
_BATCHES_SORTED = 20  # so many batches are drawn, and their sequences sorted by length, at a time
_CLIP = 1.0  # largest norm of the gradient


@dataclass(frozen=True)
class Demonstration:
    """Token ids of a prompt with its answer. answer_start: the position of the answer's first token."""

    ids: list[int]
    answer_start: int


def fine_tune(
    model: PreTrainedModel,
    demonstrations: Sequence[Demonstration],
    *,
    batch: int,
    learning_rate: float,
    beta2: float,
    weight_decay: float,
    warmup: float,
    seed: int,
) -> float:
    """Train on every demonstration once, by AdamW with a cosine schedule after a linear warm-up.

    The loss is the mean cross-entropy of the answers' tokens. Returns that of the last tenth of the steps, nats
    per token.
    """
    batches = list(length_sorted_batches(demonstrations, batch, seed))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, betas=(0.9, beta2), weight_decay=weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _cosine(step, len(batches), warmup))
    model.train()
    losses = []
    with _one_thread():
        for members in track(batches, "supervised fine-tuning, steps", len(batches)):
            losses.append(_step(model, optimizer, *_padded(members)))
            schedule.step()
    model.eval()
    last = losses[-max(1, len(losses) // 10) :]
    return sum(last) / len(last)


def _step(
    model: PreTrainedModel, optimizer: torch.optim.Optimizer, ids_BT: torch.Tensor, labels_BT: torch.Tensor
) -> float:
    optimizer.zero_grad()
    logits_BTV = model(input_ids=ids_BT[:, :-1], use_cache=False).logits
    loss = cross_entropy(logits_BTV.flatten(0, 1), labels_BT[:, 1:].flatten(), ignore_index=_IGNORED)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
    optimizer.step()
    return loss.item()


def length_sorted_batches(
    demonstrations: Sequence[Demonstration], batch: int, seed: int
) -> Iterator[list[Demonstration]]:
    """Batches in random order whose sequences are about equally long: half of the padding of random batches is saved.

    Sorting happens within stretches of 20 batches, so that the order stays random on the whole.
    """
    stream = random.Random(f"batches {seed}")
    for start in range(0, len(demonstrations), batch * _BATCHES_SORTED):
        stretch = sorted(demonstrations[start : start + batch * _BATCHES_SORTED], key=lambda one: len(one.ids))
        batches = [stretch[first : first + batch] for first in range(0, len(stretch), batch)]
        stream.shuffle(batches)
        yield from batches


def _padded(members: Sequence[Demonstration]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and labels, shape BT, padded on the right: a causal model never looks there, so no mask is needed."""
    longest = max(len(member.ids) for member in members)
    ids = [member.ids + [0] * (longest - len(member.ids)) for member in members]
    labels = [
        [_IGNORED] * member.answer_start + member.ids[member.answer_start :] + [_IGNORED] * (longest - len(member.ids))
        for member in members
    ]
    return torch.tensor(ids), torch.tensor(labels)


def _cosine(step: int, steps: int, warmup: float) -> float:
    """The factor of the learning rate at a step: up to 1 in warmup * steps, then down to 0 along a cosine."""
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising))) / 2


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for torch: a second one costs such small matrices more than it brings."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
