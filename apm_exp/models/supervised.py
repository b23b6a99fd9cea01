"""Supervised fine-tuning of a tiny model on two CPU cores: a plain loop, each batch computed in two halves."""

import copy
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from apm_exp.core.console import track

_IGNORED = -100  # cross_entropy leaves these labels out
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
) -> float:
    """Train on every demonstration once, in their order, by AdamW with a cosine schedule after a linear warm-up.

    The loss is the mean cross-entropy of the answers' tokens of a batch. Returns the mean loss of the last tenth of
    the steps, nats per token. The weights do not depend on the number of cores. Raises ValueError where the loss is
    not finite.
    """
    batches = [demonstrations[start : start + batch] for start in range(0, len(demonstrations), batch)]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, betas=(0.9, beta2), weight_decay=weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _cosine(step, len(batches), warmup))
    model.train()
    twin = _twin(model)
    losses = []
    with _one_thread(), ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as other:
        for members in track(batches, "supervised fine-tuning, steps", len(batches)):
            losses.append(_gradient(model, twin, members, other))
            if not math.isfinite(losses[-1]):
                remedy = "choose a smaller one"
                raise ValueError(
                    f"model.learning_rate={learning_rate}: no finite loss after {len(losses)} steps; {remedy}"
                )
            torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
            optimizer.step()
            schedule.step()
    model.eval()
    last = losses[-max(1, len(losses) // 10) :]
    return sum(last) / len(last)


def _twin(model: PreTrainedModel) -> PreTrainedModel:
    """A model with the same weights, in the same memory, and gradients of its own."""
    twin = copy.deepcopy(model)
    for own, shared in zip(twin.parameters(), model.parameters(), strict=True):
        own.data = shared.data
    return twin


def _gradient(
    model: PreTrainedModel, twin: PreTrainedModel, members: Sequence[Demonstration], other: ThreadPoolExecutor
) -> float:
    """Leave the gradient of the mean loss of a batch in `model`; returns that loss, nats per token.

    The shorter and the longer half are computed at the same time, in one thread each: torch's own threads bring
    nothing for matrices this small. They are added in a fixed order, so the result is the same every time.
    """
    short, long = halves(members)
    tokens = sum(len(member.ids) - member.answer_start for member in members)
    model.zero_grad()
    twin.zero_grad()
    future = other.submit(_backward, twin, long, tokens)
    loss = (_backward(model, short, tokens) if short else 0.0) + future.result()
    for mine, its in zip(model.parameters(), twin.parameters(), strict=True):
        if mine.grad is None:
            mine.grad = its.grad
        elif its.grad is not None:
            mine.grad.add_(its.grad)
    return loss


def halves(members: Sequence[Demonstration]) -> tuple[list[Demonstration], list[Demonstration]]:
    """The shorter and the longer sequences, split where the larger of the two padded tensors is smallest."""
    ordered = sorted(members, key=lambda member: len(member.ids))
    longest = len(ordered[-1].ids)

    def larger(split: int) -> int:
        return max(split * len(ordered[split - 1].ids), (len(ordered) - split) * longest)

    split = min(range(len(ordered)), key=larger)
    return ordered[:split], ordered[split:]


def _backward(model: PreTrainedModel, members: Sequence[Demonstration], tokens: int) -> float:
    """Compute the gradient of the summed loss of some sequences divided by `tokens`; returns that quotient."""
    ids_BT, labels_BT = _padded(members)
    logits_BTV = model(input_ids=ids_BT[:, :-1], use_cache=False).logits
    labels = labels_BT[:, 1:].flatten()
    loss = cross_entropy(logits_BTV.flatten(0, 1), labels, ignore_index=_IGNORED, reduction="sum") / tokens
    loss.backward()
    return loss.item()


def _padded(members: Sequence[Demonstration]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and labels, shape BT, padded on the right: a causal model never looks there, so no mask is needed."""
    longest = max(len(member.ids) for member in members)
    ids, labels = [], []
    for member in members:
        padding = longest - len(member.ids)
        ids.append(member.ids + [0] * padding)
        labels.append([_IGNORED] * member.answer_start + member.ids[member.answer_start :] + [_IGNORED] * padding)
    return torch.tensor(ids), torch.tensor(labels)


def _cosine(step: int, steps: int, warmup: float) -> float:
    """The factor of the learning rate at a step: up to 1 in warmup * steps, then down to 0 along a cosine."""
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising))) / 2


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
