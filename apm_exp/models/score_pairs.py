"""Log-probs of many pairs: batches by a token budget, longest pairs first, reduced when memory runs out."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from apm_exp.core.types import TokenizedPair
from apm_exp.models.allocator import freed_memory_kept
from apm_exp.models.halving import fill, run_halving
from apm_exp.models.pair_forward import responses_forward
from apm_exp.runtime.settings import Runtime

_SUITS_CPU, _SUITS_GPU = 4096, 16384  # tokens
Scored = list[tuple[Any, ...]]  # index of an item, then the log-prob of each of its responses (nats)
Indexed = tuple[int, TokenizedPair]


def score_pairs(
    model: nn.Module, items: Sequence[TokenizedPair], names: Sequence[str], tokens_per_batch: int
) -> Iterator[tuple[Any, ...]]:
    """Yield (index, log-prob of each response in nats) of each pair.

    Longest first. Arguments and errors are those of form_batches and score_batches.
    """
    batches = form_batches([item.length for item in items], names, tokens_per_batch)
    for scored in score_batches(model, items, names, batches, tokens_per_batch):
        yield from scored


def token_budget(settings: Runtime, lengths: Sequence[int]) -> int:
    """Return the number of tokens per forward: `runtime.tokens_per_batch`, or a default for the device.

    The default is at least the length of the longest pair. On a CPU the intermediate results of a layer should fit the
    caches; a GPU needs many tokens at once.
    """
    if settings.tokens_per_batch is not None:
        return settings.tokens_per_batch
    return max(_SUITS_CPU if settings.device == "cpu" else _SUITS_GPU, *lengths)


def form_batches(
    lengths: Sequence[int], names: Sequence[str], tokens_per_batch: int, ranks: int = 1
) -> list[list[int]]:
    """Return the indices of the pairs of each forward: longest first, as many as fit the budget; equal lengths by name.

    lengths: tokens of each pair. The number of batches is a multiple of `ranks` if there are enough pairs to split.
    Raises ValueError if a single pair exceeds the budget.
    """
    longest_first = sorted(range(len(lengths)), key=lambda index: (-lengths[index], names[index]))
    _check_budget(lengths, names, longest_first, tokens_per_batch)
    batches = fill(longest_first, lengths.__getitem__, tokens_per_batch)
    while len(batches) % ranks and len(largest := max(batches, key=len)) > 1:
        place, half = batches.index(largest), (len(largest) + 1) // 2
        batches[place : place + 1] = [largest[:half], largest[half:]]
    return batches


def score_batches(
    model: nn.Module,
    items: Sequence[TokenizedPair],
    names: Sequence[str],
    batches: Sequence[Sequence[int]],
    tokens_per_batch: int,
) -> Iterator[Scored]:
    """Yield the log-probs of each batch of indices into `items`, one forward each.

    When memory runs out the budget is halved, with a warning, and larger batches are split. names: the pairs' ids, for
    messages. Raises ValueError if memory is not sufficient for a single pair, or if a log-prob is not finite.
    """
    setting = "runtime.tokens_per_batch"
    named = ([(index, items[index]) for index in batch] for batch in batches)
    score, too_large = partial(_score, model), partial(_too_large, model, names)
    with freed_memory_kept():
        for batch, logps in run_halving(score, named, _length, tokens_per_batch, setting, too_large):
            scored = [(index, *each) for (index, _), each in zip(batch, logps, strict=True)]
            _check_finite(scored, names)
            yield scored


def _check_budget(lengths: Sequence[int], names: Sequence[str], longest_first: Sequence[int], budget: int) -> None:
    if longest_first and lengths[longest_first[0]] > budget:
        name, needed = names[longest_first[0]], lengths[longest_first[0]]
        raise ValueError(
            f"runtime.tokens_per_batch={budget}: the pair {name} alone takes {needed} tokens; set at least {needed}"
        )


def _score(model: nn.Module, batch: Sequence[Indexed]) -> list[list[float]]:
    """Return the log-probs of the responses of each item of one batch."""
    items = [item for _, item in batch]
    with torch.inference_mode():
        logp_N, _ = responses_forward(model, [(item.prompt_ids, item.responses) for item in items])
        return [part.tolist() for part in logp_N.split([len(item.responses) for item in items])]


def _length(indexed: Indexed) -> int:
    return indexed[1].length


def _too_large(model: nn.Module, names: Sequence[str], indexed: Indexed) -> str:
    index, item = indexed
    return (
        f"runtime.device: out of memory for the pair {names[index]} alone ({item.length} tokens; "
        f"{_memory(model, item.length)}); use a larger device, a smaller model.dtype, or a smaller tokens.max_length"
    )


def _memory(model: Any, tokens: int) -> str:
    """Return an estimate of the memory of a forward over so many tokens, in words.

    At its widest, a layer holds the MLP's gate, up projection and product, and six rows of the hidden size: the
    residual, its norm, query, key, value and the attention's output.
    """
    config, weights = model.config.get_text_config(), list(model.parameters())
    hidden = model.get_input_embeddings().weight.shape[1]
    wide = 3 * (getattr(config, "intermediate_size", None) or 4 * hidden) + 6 * hidden
    layer = tokens * wide * weights[0].element_size()
    held = sum(weight.numel() * weight.element_size() for weight in weights)
    return f"about {held / 2**30:.2f} GiB of weights and {layer / 2**30:.2f} GiB for the widest layer"


def _check_finite(scored: Scored, names: Sequence[str]) -> None:
    bad = [names[index] for index, *logps in scored if not all(map(math.isfinite, logps))]
    if bad:
        raise ValueError(f"model.path: log-probs that are not finite for the pairs {', '.join(bad[:10])}")
