"""The choice between the two forms of the pair forward: a shared row if the model supports it, else padded rows."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor

from apm_exp.core.errors import library_error
from apm_exp.models.context import context_length
from apm_exp.models.forward.flex import FLEX
from apm_exp.models.forward.output_head import soft_cap_of, teach
from apm_exp.models.forward.plain import check_causal, check_padded, difference_of_sums, ordinary, plain_logps, refused
from apm_exp.models.forward.row import Prompted
from apm_exp.models.forward.segment_attention import SEGMENTS
from apm_exp.models.loading import OF_PAIRS
from apm_exp.models.quiet import quiet

logger = logging.getLogger(__name__)
Forward = Callable[[Any, Sequence[Prompted]], tuple[Tensor, Tensor]]  # pair_forward.responses_forward
_LAYERS = {"full_attention", "sliding_attention"}
_FEW: tuple[Prompted, ...] = (
    ([3, 1, 4, 1, 5], [[9, 2, 6, 5], [3, 5, 8]]),
    ([9, 7], [[2, 3, 8, 4, 6], [9, 3]]),
)
# Longer than the chunks of 64 tokens in which some models compute, together with a much shorter response.
_LONG: Prompted = ([2, 7, 1], [[8, 2, 8, 1, 8] * 14, [4, 5, 9, 4, 5, 2] * 3])
_COPIES = 9  # more than the 128 tokens of one FlexAttention block, for which a separate kernel would be compiled


def choose_form(causal_lm: Any, forward: Forward) -> None:
    """Set the model's `shares_prompts`, and its attention if it is true; see pair_forward.accept_responses.

    Both forms are compared with the model's plain forward on a few tokens. Raises ValueError if the padded form gives
    other log-probs, or if model.attention names an attention that shares prompts and the model does not support it.
    """
    causal_lm.attention_before, causal_lm.shares_prompts = causal_lm.config._attn_implementation, False
    wanted = getattr(causal_lm, "pair_attention", "auto")
    with _trial(causal_lm):
        few = _few(causal_lm)
        plain = _plain(causal_lm, few)
        check_padded(causal_lm, few, plain)
        check_causal(causal_lm, few[-1])
        if wanted not in OF_PAIRS:
            return
        for attention in fastest(causal_lm.device) if wanted == "auto" else (wanted,):
            problem = _problem(causal_lm, attention, forward, few, plain)
            if problem is None:
                return
    causal_lm.shares_prompts = False
    with suppress(Exception):  # the model may not support another attention either
        causal_lm.set_attn_implementation(causal_lm.attention_before)
    problem = f"model.attention={wanted}: {type(causal_lm).__name__} {problem}"
    if wanted != "auto":
        raise ValueError(f"{problem}; set model.attention=auto")
    logger.warning("%s; pairs are padded, which is slower", problem)


@contextmanager
def _trial(causal_lm: Any) -> Iterator[None]:
    """Run the block in evaluation mode, quietly, and without gradients.

    Not in inference mode, as ZeRO-3 keeps weights that it gathers in the block.
    """
    training = causal_lm.training
    try:
        with torch.no_grad(), torch.autocast(causal_lm.device.type, enabled=False), quiet():
            causal_lm.eval()
            yield
    finally:
        causal_lm.train(training)


def _few(causal_lm: Any) -> Sequence[Prompted]:
    """Return the prompts and responses for the comparison, of ordinary tokens, within the model's context length."""
    room, longest = context_length(causal_lm), len(_LONG[0]) + len(_LONG[1][0])
    few = _FEW if room is not None and room < longest else (*_FEW, _LONG)
    return [(ordinary(causal_lm, prompt), [ordinary(causal_lm, each) for each in texts]) for prompt, texts in few]


def _plain(causal_lm: Any, few: Sequence[Prompted]) -> list[Tensor]:
    try:
        return plain_logps(causal_lm, few)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise refused(causal_lm, f"fails on a few tokens ({library_error(error)})") from error


def fastest(device: torch.device) -> Sequence[str]:
    """Return the attentions to try, the fastest first."""
    return (FLEX, SEGMENTS) if device.type == "cuda" else (SEGMENTS,)


def _problem(
    causal_lm: Any, attention: str, forward: Forward, few: Sequence[Prompted], plain: Sequence[Tensor]
) -> str | None:
    """Prepare the model for shared prompts with this attention; returns a problem as text, or None.

    If the model's own code raises an error, that is such a problem: the model is then used with padding.
    """
    try:
        return _unfit(causal_lm, attention) or _differs(causal_lm, forward, few, plain)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        return f"cannot share prompts ({library_error(error)[:200]})"


def _unfit(causal_lm: Any, attention: str) -> str | None:
    """Return which part of the model's structure prevents shared prompts, or None."""
    if problem := mixing_layers(causal_lm.config):
        return problem
    causal_lm.set_attn_implementation(attention)
    if causal_lm.config._attn_implementation != attention:
        return "does not support other kinds of attention"
    if (head := causal_lm.get_output_embeddings()) is None:
        return "does not declare its output head"
    teach(head)
    causal_lm.shares_prompts = True
    return None if _head_is_all(causal_lm) else "changes the logits after its output head"


def mixing_layers(config: Any) -> str | None:
    """Return which layers of a model mix all tokens of a row, as a problem in words, or None."""
    others = set(getattr(config.get_text_config(), "layer_types", None) or ()) - _LAYERS
    return f"has layers that mix all tokens of a row ({', '.join(sorted(others))})" if others else None


def _differs(causal_lm: Any, forward: Forward, few: Sequence[Prompted], plain: Sequence[Tensor]) -> str | None:
    """Return by how much the shared row's log-probs differ from the plain ones, or None if only by rounding."""
    shared_N, length_N = forward(causal_lm, [*few] * _COPIES)
    difference = difference_of_sums(causal_lm, shared_N, length_N, [*plain] * _COPIES)
    if difference == 0:
        return None
    return f"gives other log-probs with shared prompts (by {difference:.2g} nats per token)"


def _head_is_all(causal_lm: Any) -> bool:
    """Return whether the model's logits are those of its output head (with the soft cap), without further scaling."""
    ids = torch.tensor([_FEW[0][0]], device=causal_lm.device)
    with own_attention(causal_lm):
        hidden = causal_lm.base_model(input_ids=ids, use_cache=False).last_hidden_state
    cap, logits = soft_cap_of(causal_lm), causal_lm.get_output_embeddings()(hidden).float()
    expected = logits if cap is None else torch.tanh(logits / cap) * cap
    actual = causal_lm(input_ids=ids, use_cache=False).logits.float()
    return bool((actual - expected).abs().max() <= 1e-2 * expected.abs().max())  # 16-bit logits are rounded to 0.4%


@contextmanager
def own_attention(causal_lm: Any) -> Iterator[None]:
    """Use the attention with which the model was loaded inside the block."""
    shared = causal_lm.config._attn_implementation
    if shared not in (SEGMENTS, FLEX):
        yield
        return
    causal_lm.set_attn_implementation(causal_lm.attention_before)
    try:
        yield
    finally:
        causal_lm.set_attn_implementation(shared)
