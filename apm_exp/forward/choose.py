"""Which form of the pair forward a model takes: the shared row where it can, padded rows where it cannot."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.backends import cuda

from apm_exp.forward.flex import FLEX
from apm_exp.forward.output_head import soft_cap_of, teach
from apm_exp.forward.row import Prompted
from apm_exp.forward.segment_attention import SEGMENTS
from apm_exp.models.attention import OF_PAIRS
from apm_exp.models.quiet import quiet
from apm_exp.precision import TOLERANCE

logger = logging.getLogger(__name__)
Forward = Callable[[Any, Sequence[Prompted]], tuple[Tensor, Tensor]]  # pair_forward.responses_forward
_LAYERS = {"full_attention", "sliding_attention"}
_FEW: tuple[Prompted, ...] = (
    ([3, 1, 4, 1, 5], [[9, 2, 6, 5], [3, 5, 8]]),
    ([9, 7], [[9, 3], [2, 3, 8, 4, 6]]),
)
_PROBE = _FEW * 9  # more than the 128 tokens of one block of FlexAttention, for which it would be compiled apart


def choose_form(causal_lm: Any, forward: Forward | None) -> None:
    """Set the model's `shares_prompts`, and its attention where it does: see pair_forward.accept_responses.

    forward: tries the shared form on a few tokens; None judges by structure alone. Raises ValueError where an
    attention of pairs was asked for by name and the model cannot have it.
    """
    causal_lm.attention_before, causal_lm.shares_prompts = causal_lm.config._attn_implementation, False
    wanted = getattr(causal_lm, "pair_attention", "auto")
    if wanted not in OF_PAIRS:
        return
    for attention in _fastest(causal_lm.device) if wanted == "auto" else (wanted,):
        problem = _unfit(causal_lm, attention) or (_tried(causal_lm, forward) if forward else None)
        if problem is None:
            return
    causal_lm.shares_prompts = False
    causal_lm.set_attn_implementation(causal_lm.attention_before)
    problem = f"model.attention={wanted}: {type(causal_lm).__name__} {problem}"
    if wanted != "auto":
        raise ValueError(f"{problem}; take model.attention=auto")
    logger.warning("%s; its pairs are padded, which is slower", problem)


def _fastest(device: torch.device) -> Sequence[str]:
    """The attentions to try, the fastest first."""
    return (FLEX, SEGMENTS) if device.type == "cuda" else (SEGMENTS,)


def _unfit(causal_lm: Any, attention: str) -> str | None:
    """Prepare the model for shared prompts with this attention; returns what in its structure forbids it, if any."""
    if others := set(getattr(causal_lm.config.get_text_config(), "layer_types", None) or ()) - _LAYERS:
        return f"has layers that mix a whole row ({', '.join(sorted(others))})"
    with quiet():
        causal_lm.set_attn_implementation(attention)
    if causal_lm.config._attn_implementation != attention:
        return "has an attention of its own"
    teach(causal_lm.get_output_embeddings())
    causal_lm.shares_prompts = True
    return None


def _tried(causal_lm: Any, forward: Forward) -> str | None:
    """What goes wrong with shared prompts on a few tokens, if anything."""
    training = causal_lm.training
    try:
        with torch.inference_mode(), quiet():
            causal_lm.eval()
            if not _head_is_all(causal_lm):
                return "computes its logits as more than its output head"
            shared_N, lengths_N = forward(causal_lm, _PROBE)
            padded_N = _padded(causal_lm, forward)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, AttributeError, KeyError, ImportError) as error:
        return f"cannot share prompts ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
    finally:
        causal_lm.train(training)
    difference = ((shared_N - padded_N).abs() / lengths_N).max().item()
    rounding = str(causal_lm.dtype).removeprefix("torch.")
    if rounding == "float32" and causal_lm.device.type == "cuda" and cuda.matmul.fp32_precision == "tf32":
        rounding = "tf32"
    if difference <= TOLERANCE[rounding]:
        return None
    return f"gives other log-probs with shared prompts (by {difference:.2g} nats a token)"


def _padded(causal_lm: Any, forward: Forward) -> Tensor:
    """The probe's log-probs in the padded form."""
    causal_lm.shares_prompts = False
    try:
        with own_attention(causal_lm):
            return forward(causal_lm, _PROBE)[0]
    finally:
        causal_lm.shares_prompts = True


def _head_is_all(causal_lm: Any) -> bool:
    """Whether the model's logits are its output head's (and the soft-cap's), not scaled on the way."""
    ids = torch.tensor([_FEW[0][0]], device=causal_lm.device)
    with own_attention(causal_lm):
        hidden = causal_lm.base_model(input_ids=ids, use_cache=False).last_hidden_state
    cap, logits = soft_cap_of(causal_lm), causal_lm.get_output_embeddings()(hidden).float()
    expected = logits if cap is None else torch.tanh(logits / cap) * cap
    found = causal_lm(input_ids=ids, use_cache=False).logits.float()
    return bool((found - expected).abs().max() <= 1e-2 * expected.abs().max())  # 16-bit logits are rounded to 0.4%


@contextmanager
def own_attention(causal_lm: Any) -> Iterator[None]:
    """The attention that the model was loaded with, for a call of its own."""
    shared = causal_lm.config._attn_implementation
    if shared not in (SEGMENTS, FLEX):
        yield
        return
    causal_lm.set_attn_implementation(causal_lm.attention_before)
    try:
        yield
    finally:
        causal_lm.set_attn_implementation(shared)
