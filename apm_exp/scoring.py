"""Log-probs of many pairs: batches formed by a budget of padded tokens, longest first, smaller when memory runs out."""

import gc
import logging
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.functional import log_softmax

from apm_exp.pair_forward import pair_forward
from apm_exp.types import TokenisedPair

logger = logging.getLogger(__name__)
TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2, "float16": 5e-3}  # nats a token: what rounding alone explains


def score_pairs(
    model: nn.Module, pairs: Sequence[TokenisedPair], names: Sequence[str], tokens_per_batch: int
) -> Iterator[tuple[int, float, float]]:
    """Yield (index, chosen log-prob, rejected log-prob) of each pair, in nats, longest pairs first.

    tokens_per_batch: at most so many tokens in one forward, padding included; halved, with a warning, when memory
    runs out. names: the pairs' ids, for messages. Raises ValueError where one pair alone exceeds the budget or the
    memory, and where a log-prob is not finite.
    """
    waiting = sorted(range(len(pairs)), key=lambda index: (-padded_tokens(pairs[index]), names[index]))
    _check_budget(pairs, names, waiting, tokens_per_batch)
    budget = tokens_per_batch
    while waiting:
        batch = _next_batch(pairs, waiting, budget)
        scored = _score(model, [pairs[index] for index in batch])
        if scored is None:
            budget = _smaller(budget, batch, pairs, names)
            continue
        del waiting[: len(batch)]
        _check_finite(batch, scored, names)
        yield from ((index, chosen, rejected) for index, (chosen, rejected) in zip(batch, scored, strict=True))


def padded_tokens(pair: TokenisedPair) -> int:
    """The tokens that a pair takes in a batch of its own: two rows of the longer one's length."""
    return 2 * (len(pair.prompt_ids) + max(len(pair.chosen_ids), len(pair.rejected_ids)))


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that the device or the machine has no memory left."""
    kinds = (torch.OutOfMemoryError, MemoryError)
    texts = ("out of memory", "can't allocate memory")
    spoken = isinstance(error, RuntimeError) and any(text in str(error).lower() for text in texts)
    return isinstance(error, kinds) or spoken


def check_plain(model: Any, pair: TokenisedPair, dtype: str) -> None:
    """Compare one response's log-prob with that of the whole model's own logits.

    Raises ValueError for a model whose logits are more than its output head's product (scaled, for example).
    """
    ids = torch.tensor([pair.prompt_ids + pair.chosen_ids], device=model.device)
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
        logp = log_softmax(logits, -1).gather(-1, ids[0, 1:, None])[len(pair.prompt_ids) - 1 :].sum()
        difference = abs((pair_forward(model, [pair]).chosen_logp_B[0] - logp).item()) / len(pair.chosen_ids)
    if not difference <= 10 * TOLERANCE[dtype]:
        kind = type(model).__name__
        raise ValueError(f"model.path: {kind} does not compute its logits as its output head alone; not supported")


def _check_budget(
    pairs: Sequence[TokenisedPair], names: Sequence[str], longest_first: Sequence[int], budget: int
) -> None:
    if longest_first and padded_tokens(pairs[longest_first[0]]) > budget:
        name, needed = names[longest_first[0]], padded_tokens(pairs[longest_first[0]])
        raise ValueError(
            f"runtime.tokens_per_batch={budget}: the pair {name} alone takes {needed} tokens; give at least {needed}"
        )


def _next_batch(pairs: Sequence[TokenisedPair], waiting: Sequence[int], budget: int) -> list[int]:
    """As many of the waiting pairs as fit the budget beside the first, which is the longest; at least that one."""
    return list(waiting[: max(1, budget // padded_tokens(pairs[waiting[0]]))])


def _score(model: nn.Module, pairs: Sequence[TokenisedPair]) -> list[tuple[float, float]] | None:
    """The log-probs of one batch, or None where memory ran out."""
    try:
        with torch.inference_mode():
            logps = pair_forward(model, pairs)
            return list(zip(logps.chosen_logp_B.tolist(), logps.rejected_logp_B.tolist(), strict=True))
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
    return None


def _smaller(budget: int, batch: Sequence[int], pairs: Sequence[TokenisedPair], names: Sequence[str]) -> int:
    """Half the budget; raises ValueError where the batch was a single pair already."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if len(batch) == 1:
        tokens = padded_tokens(pairs[batch[0]])
        raise ValueError(
            f"runtime.device: out of memory for the pair {names[batch[0]]} alone ({tokens} tokens); take a larger "
            "device, a smaller model.dtype, or a smaller tokens.max_length"
        )
    logger.warning("out of memory: runtime.tokens_per_batch is now %d instead of %d", budget // 2, budget)
    return budget // 2


def _check_finite(batch: Sequence[int], scored: Sequence[tuple[float, float]], names: Sequence[str]) -> None:
    bad = [names[i] for i, logps in zip(batch, scored, strict=True) if not all(map(math.isfinite, logps))]
    if bad:
        raise ValueError(f"model.path: log-probs that are not finite for the pairs {', '.join(bad[:10])}")
