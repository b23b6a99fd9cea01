"""The only definition of a response's log-probability: scoring, training and evaluation all call `pair_forward`.

The prompt is computed once for both responses and nothing is padded: all pairs of a batch lie end to end in one row
(forward/row.py). Attention knows the row (segment_attention.py, flex.py); the output head sees response positions
only, some at a time (output_head.py). A model that cannot share prompts is given padded rows instead (padded.py).
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from apm_exp.forward import output_head
from apm_exp.forward.flex import FLEX
from apm_exp.forward.padded import padded_inputs, padded_logps
from apm_exp.forward.row import Prompted, Row, make_row
from apm_exp.forward.segment_attention import SEGMENTS
from apm_exp.models.attention import OF_PAIRS
from apm_exp.models.quiet import quiet
from apm_exp.precision import TOLERANCE
from apm_exp.types import TokenisedPair

logger = logging.getLogger(__name__)
_LAYERS = {"full_attention", "sliding_attention"}
_PROBE: Sequence[Prompted] = (
    ([3, 1, 4, 1, 5], [[9, 2, 6, 5], [3, 5, 8]]),
    ([9, 7], [[9, 3], [2, 3, 8, 4, 6]]),
)


@dataclass(frozen=True, eq=False)
class ResponseLogps:
    """One batch of pairs: log-probs summed over the tokens of a response (nats, float32), lengths in tokens."""

    chosen_logp_B: Tensor
    rejected_logp_B: Tensor
    chosen_len_B: Tensor
    rejected_len_B: Tensor


def pair_forward(model: nn.Module, pairs: Sequence[TokenisedPair]) -> ResponseLogps:
    """The log-probs of both responses of each pair given its prompt (B entries), differentiable.

    model: a Hugging Face causal LM, as it is or wrapped (DistributedDataParallel, DeepSpeed, PEFT); it is entered
    through the wrapper's own forward. Raises ValueError for an empty prompt or response.
    """
    logp_2B, len_2B = responses_forward(model, [(p.prompt_ids, (p.chosen_ids, p.rejected_ids)) for p in pairs])
    (chosen_logp_B, rejected_logp_B), (chosen_len_B, rejected_len_B) = logp_2B.view(-1, 2).T, len_2B.view(-1, 2).T
    return ResponseLogps(chosen_logp_B, rejected_logp_B, chosen_len_B, rejected_len_B)


def responses_forward(model: nn.Module, prompts: Sequence[Prompted]) -> tuple[Tensor, Tensor]:
    """Summed log-probs (nats, float32) and lengths (tokens) of every response of every prompt, in order, [N] each.

    As pair_forward, for any number of responses a prompt, which is computed once for all of them.
    """
    causal_lm = accept_responses(model)
    if causal_lm.shares_prompts:
        row = make_row(prompts, causal_lm.device)
        logp_R, lengths = model(input_ids=row.input_ids, position_ids=row.position_ids, row=row), row.lengths_N
    else:
        inputs = padded_inputs(prompts, causal_lm.device)
        logp_R, lengths = model(**inputs), [stop - start for start, stop in inputs["spans"]]
    logp_N = torch.stack([part.sum() for part in logp_R.split(lengths)])
    return logp_N, torch.tensor(lengths, device=logp_N.device)


def accept_responses(model: nn.Module, *, probe: bool = True) -> Any:
    """Teach the causal LM inside `model` to return response log-probs, once; returns that causal LM.

    Its forward then takes a `row` (or `spans`, padded). Going through the model's own forward keeps the hooks of
    wrappers at work; calls without these arguments reach the original forward. Which form it takes is remembered as
    `shares_prompts`: the shared one is tried on a few tokens, and where it fails or gives other numbers, rows are
    padded, with a warning. A model loaded with an attention of transformers' own is padded. probe: False for weights
    that are not there yet (ZeRO-3), of which the structure alone is judged.
    """
    causal_lm: Any = model
    while hasattr(causal_lm, "module"):
        causal_lm = causal_lm.module
    if hasattr(causal_lm, "get_base_model"):
        causal_lm = causal_lm.get_base_model()
    if not hasattr(causal_lm, "forward_without_responses"):
        causal_lm.forward_without_responses = causal_lm.forward
        causal_lm.forward = MethodType(_forward, causal_lm)
        causal_lm.attention_before = causal_lm.config._attn_implementation
        causal_lm.shares_prompts = False
        _choose_form(causal_lm, probe)
    return causal_lm


def _forward(self: Any, *args: Any, row: Row | None = None, spans: Any = None, **kwargs: Any) -> Any:
    """A causal LM's forward; with a row or spans it returns the log-probs of all response tokens, [R]."""
    if spans is not None:
        return padded_logps(self.forward_without_responses, spans=spans, **kwargs)
    if row is None:
        with _own_attention(self):
            return self.forward_without_responses(*args, **kwargs)
    hidden = self.base_model(*args, row=row, use_cache=False, **kwargs).last_hidden_state
    hidden_RH = hidden[0].index_select(0, row.source_R)
    return self.get_output_embeddings()(hidden_RH, token_R=row.token_R, soft_cap=_soft_cap(self))


@contextmanager
def _own_attention(causal_lm: Any) -> Iterator[None]:
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


def _choose_form(causal_lm: Any, probe: bool) -> None:
    wanted = getattr(causal_lm, "pair_attention", "auto")
    if wanted not in OF_PAIRS:
        return
    for attention in _fastest(causal_lm.device) if wanted == "auto" else (wanted,):
        problem = _unfit(causal_lm, attention) or (_tried(causal_lm) if probe else None)
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
    output_head.teach(causal_lm.get_output_embeddings())
    causal_lm.shares_prompts = True
    return None


def _tried(causal_lm: Any) -> str | None:
    """What goes wrong with shared prompts on a few tokens, if anything."""
    training = causal_lm.training
    try:
        with torch.inference_mode(), quiet():
            causal_lm.eval()
            if not _head_is_all(causal_lm):
                return "computes its logits as more than its output head"
            shared_N, lengths_N = responses_forward(causal_lm, _PROBE)
            padded_N = _padded(causal_lm)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, AttributeError, KeyError, ImportError) as error:
        return f"cannot share prompts ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
    finally:
        causal_lm.train(training)
    difference = ((shared_N - padded_N).abs() / lengths_N).max().item()
    if difference <= TOLERANCE[str(causal_lm.dtype).removeprefix("torch.")]:
        return None
    return f"gives other log-probs with shared prompts (by {difference:.2g} nats a token)"


def _padded(causal_lm: Any) -> Tensor:
    """The probe's log-probs in the padded form."""
    causal_lm.shares_prompts = False
    try:
        with _own_attention(causal_lm):
            return responses_forward(causal_lm, _PROBE)[0]
    finally:
        causal_lm.shares_prompts = True


def _head_is_all(causal_lm: Any) -> bool:
    """Whether the model's logits are its output head's (and the soft-cap's), not scaled on the way."""
    ids = torch.tensor([_PROBE[0][0]], device=causal_lm.device)
    with _own_attention(causal_lm):
        hidden = causal_lm.base_model(input_ids=ids, use_cache=False).last_hidden_state
    soft_cap, logits = _soft_cap(causal_lm), causal_lm.get_output_embeddings()(hidden).float()
    expected = logits if soft_cap is None else torch.tanh(logits / soft_cap) * soft_cap
    found = causal_lm(input_ids=ids, use_cache=False).logits.float()
    return bool((found - expected).abs().max() <= 1e-2 * expected.abs().max())  # 16-bit logits are rounded to 0.4%


def _soft_cap(causal_lm: Any) -> float | None:
    return getattr(causal_lm.config.get_text_config(), "final_logit_softcapping", None)
