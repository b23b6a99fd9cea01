"""The choice between the two kinds of rows: with shared keys if the model supports them, else with its own cache."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor

from apm_exp.core.errors import library_error
from apm_exp.core.rounding import rounding_of
from apm_exp.data.generate.cached_rows import CachedRows
from apm_exp.data.generate.shared_keys import SHARED_KEYS
from apm_exp.data.generate.shared_rows import SharedRows
from apm_exp.models.forward.plain import ordinary
from apm_exp.models.loading import OF_PAIRS
from apm_exp.models.quiet import quiet

logger = logging.getLogger(__name__)
Rows = SharedRows | CachedRows
_LAYERS = {"full_attention", "sliding_attention"}
_ROUNDED = {"float32": 1e-3}  # difference of the log-probs of all tokens, relative to their spread
_ROUNDED_TO_16_BITS = 0.2
_PROMPTS = [[3, 1, 4, 1, 5, 9, 2, 6], [5, 3, 5], [8, 9, 7, 9, 3]]
_NEXT = [[2, 7, 1], [8, 2, 8], [1, 6, 1], [4, 3, 3], [2, 9, 6]]  # tokens of five responses


@contextmanager
def choose_rows(model: Any) -> Iterator[Rows]:
    """Yield empty rows for the model, which has their attention inside the block.

    Shared keys are tried on a few tokens; if the model fails or gives other log-probs, its own cache is used. A model
    loaded with one of transformers' own attentions keeps it.
    """
    before, wanted = model.config._attn_implementation, getattr(model, "pair_attention", "auto")
    if wanted not in OF_PAIRS:
        yield CachedRows(model)
        return
    problem = _problem(model)
    try:
        if problem is None:
            yield SharedRows(model)
            return
    finally:
        with suppress(Exception), quiet():  # the model may not support another attention either
            model.set_attn_implementation(before)
    logger.info("%s %s; each response has a copy of its prompt's cache, which is slower", type(model).__name__, problem)
    yield CachedRows(model)


def _problem(model: Any) -> str | None:
    """Set the attention; return why the model cannot share keys, or None. An error in the model's own code is one."""
    if others := set(getattr(model.config.get_text_config(), "layer_types", None) or ()) - _LAYERS:
        return f"has layers that mix all tokens of a row ({', '.join(sorted(others))})"
    if model.get_output_embeddings() is None:
        return "does not declare its output head"
    try:
        with quiet():
            plain = _plain(model)
            model.set_attn_implementation(SHARED_KEYS)
            if model.config._attn_implementation != SHARED_KEYS:
                return "does not support other kinds of attention"
            shared = _shared(model)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        return f"cannot share keys ({library_error(error)[:200]})"
    relative = ((shared - plain).square().mean().sqrt() / plain.std()).item()
    if relative <= _ROUNDED.get(rounding_of(model), _ROUNDED_TO_16_BITS):
        return None
    return f"gives other log-probs with shared keys (by {relative:.2g} of their spread)"


def _shared(model: Any) -> Tensor:
    """Return the log-probs after each beginning of the responses, with rows that leave and one that joins later."""
    rows, prompts = SharedRows(model), [ordinary(model, ids) for ids in _PROMPTS]
    next_RT = torch.tensor([ordinary(model, ids) for ids in _NEXT], device=model.device)
    first = rows.change([], prompts[:2], [0, 0, 1, 1])
    second = rows.logits(next_RT[:4, 0])
    joined = rows.change([0, 3], prompts[2:], [0])
    third = rows.logits(torch.stack([next_RT[0, 1], next_RT[3, 1], next_RT[4, 0]]))
    return torch.cat([each for each in (first, second, joined, third) if each is not None]).log_softmax(-1)


@torch.inference_mode()
def _plain(model: Any) -> Tensor:
    """Return the same, of one row at a time."""
    texts = [(0, 0, 0), (0, 1, 0), (1, 2, 0), (1, 3, 0), (0, 0, 1), (0, 1, 1), (1, 2, 1), (1, 3, 1)]
    texts += [(2, 4, 0), (0, 0, 2), (1, 3, 2), (2, 4, 1)]
    return torch.cat([_last(model, _PROMPTS[p] + _NEXT[r][:count]) for p, r, count in texts]).log_softmax(-1)


def _last(model: Any, ids: Sequence[int]) -> Tensor:
    inputs = torch.tensor([ordinary(model, ids)], device=model.device)
    return model(input_ids=inputs, use_cache=False).logits[:, -1].float()
