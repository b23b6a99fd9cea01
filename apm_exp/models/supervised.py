"""Supervised fine-tuning of a tiny model on two CPU cores: a plain loop that computes each batch in two halves."""

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

_IGNORED = -100  # cross_entropy ignores these labels
_CLIP = 1.0  # maximum gradient norm


@dataclass(frozen=True)
class Demonstration:
    """Token ids of a prompt with its response. answer_start: the index of the response's first token."""

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
    """Train on every demonstration once, in order, with AdamW and a cosine schedule after a linear warm-up.

    The loss is the mean cross-entropy over the response tokens of a batch. Returns the mean loss of the last tenth of
    the optimizer steps, in nats per token. The weights do not depend on the number of cores. Raises ValueError if the
    loss is not finite.
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
        for members in track(batches, "supervised fine-tuning, optimizer steps", len(batches)):
            losses.append(_gradient(model, twin, members, other))
            if not math.isfinite(losses[-1]):
                remedy = "set a smaller one"
                raise ValueError(
                    f"model.learning_rate={learning_rate}: not finite after {len(losses)} optimizer steps; {remedy}"
                )
            torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
            optimizer.step()
            schedule.step()
    model.eval()
    last = losses[-max(1, len(losses) // 10) :]
    return sum(last) / len(last)


def _twin(model: PreTrainedModel) -> PreTrainedModel:
    """Return a model that shares the weights' memory but has its own gradients."""
    twin = copy.deepcopy(model)
    for own, shared in zip(twin.parameters(), model.parameters(), strict=True):
        own.data = shared.data
    return twin


def _gradient(
    model: PreTrainedModel, twin: PreTrainedModel, members: Sequence[Demonstration], other: ThreadPoolExecutor
) -> float:
    """Compute the gradient of the mean loss of a batch in `model`; returns that loss in nats per token.

    The shorter and the longer half run in parallel, in one thread each, as torch's own threads do not speed up matrices
    this small. They are added in a fixed order, so the result is deterministic.
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
    """Return the shorter and the longer sequences, split so that the larger of the two padded tensors is smallest."""
    ordered = sorted(members, key=lambda member: len(member.ids))
    longest = len(ordered[-1].ids)

    def larger(split: int) -> int:
        return max(split * len(ordered[split - 1].ids), (len(ordered) - split) * longest)

    split = min(range(len(ordered)), key=larger)
    return ordered[:split], ordered[split:]


def _backward(model: PreTrainedModel, members: Sequence[Demonstration], tokens: int) -> float:
    """Backpropagate the summed loss of some sequences divided by `tokens`; returns that quotient."""
    ids_BT, labels_BT = _padded(members)
    logits_BTV = model(input_ids=ids_BT[:, :-1], use_cache=False).logits
    labels = labels_BT[:, 1:].flatten()
    loss = cross_entropy(logits_BTV.flatten(0, 1), labels, ignore_index=_IGNORED, reduction="sum") / tokens
    loss.backward()
    return loss.item()


def _padded(members: Sequence[Demonstration]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and labels, shape BT. Right padding needs no mask in a causal model."""
    longest = max(len(member.ids) for member in members)
    ids, labels = [], []
    for member in members:
        padding = longest - len(member.ids)
        ids.append(member.ids + [0] * padding)
        labels.append([_IGNORED] * member.answer_start + member.ids[member.answer_start :] + [_IGNORED] * padding)
    return torch.tensor(ids), torch.tensor(labels)


def _cosine(step: int, steps: int, warmup: float) -> float:
    """Return the learning rate's factor at an optimizer step: linear warm-up to 1, then cosine decay to 0."""
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
