"""The only definition of a response's log-probability: scoring, training and evaluation all call `pair_forward`.

The prompt is computed once for both responses and nothing is padded: all pairs of a batch are concatenated into one row
(forward/row.py). Attention respects the row's structure (segment_attention.py, flex.py); the output head computes
response positions only, in blocks (output_head.py). A model that does not support shared prompts (choose.py) gets
padded rows (padded.py).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from apm_exp.core.types import TokenizedPair
from apm_exp.models.forward.choose import choose_form, own_attention
from apm_exp.models.forward.output_head import soft_cap_of
from apm_exp.models.forward.padded import padded_inputs, padded_logps
from apm_exp.models.forward.row import Prompted, Row, make_row


@dataclass(frozen=True, eq=False)
class ResponseLogps:
    """One batch of pairs: log-probs summed over the tokens of a response (nats, float32), lengths in tokens."""

    chosen_logp_B: Tensor
    rejected_logp_B: Tensor
    chosen_len_B: Tensor
    rejected_len_B: Tensor


def pair_forward(model: nn.Module, pairs: Sequence[TokenizedPair]) -> ResponseLogps:
    """Compute the log-probs of both responses of each pair given its prompt (B entries), differentiably.

    model: a Hugging Face causal LM, plain or wrapped (DistributedDataParallel, DeepSpeed, PEFT); the wrapper's own
    forward is called. Raises ValueError for an empty prompt or response.
    """
    logp_2B, len_2B = responses_forward(model, [(p.prompt_ids, (p.chosen_ids, p.rejected_ids)) for p in pairs])
    (chosen_logp_B, rejected_logp_B), (chosen_len_B, rejected_len_B) = logp_2B.view(-1, 2).T, len_2B.view(-1, 2).T
    return ResponseLogps(chosen_logp_B, rejected_logp_B, chosen_len_B, rejected_len_B)


def responses_forward(model: nn.Module, prompts: Sequence[Prompted]) -> tuple[Tensor, Tensor]:
    """Return summed log-probs (nats, float32) and lengths (tokens) of every response of every prompt, in order, [N]
    each.

    As pair_forward, for any number of responses per prompt; each prompt is computed once.
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
    """Make the causal LM inside `model` return response log-probs, once; returns that causal LM.

    Its forward then accepts a `row` (or padded rows with `spans`). Calling the model's own forward keeps the hooks of
    wrappers working; calls without these arguments reach the original forward. The chosen form is stored as
    `shares_prompts`: the shared form is tried on a few tokens, and if it fails or gives other values, rows are padded,
    with a warning. A model loaded with one of transformers' own attentions is padded. Raises ValueError if the padded
    form gives other values than the model's plain forward. probe: False if the weights are not available yet (ZeRO-3);
    the form is then chosen at the first forward.
    """
    causal_lm: Any = model
    while hasattr(causal_lm, "module"):
        causal_lm = causal_lm.module
    if hasattr(causal_lm, "get_base_model"):
        causal_lm = causal_lm.get_base_model()
    if not hasattr(causal_lm, "forward_without_responses"):
        causal_lm.forward_without_responses = causal_lm.forward
        causal_lm.forward = MethodType(_forward, causal_lm)
    if probe and not hasattr(causal_lm, "shares_prompts"):
        try:
            choose_form(causal_lm, responses_forward)
        except BaseException:  # no form is chosen for a model that is refused
            del causal_lm.shares_prompts
            raise
    return causal_lm


@contextmanager
def padded_form(model: nn.Module) -> Iterator[None]:
    """Use the padded form inside the block, regardless of the form that was chosen."""
    causal_lm = accept_responses(model)
    shares = causal_lm.shares_prompts
    causal_lm.shares_prompts = False
    try:
        with own_attention(causal_lm):
            yield
    finally:
        causal_lm.shares_prompts = shares


def _forward(self: Any, *args: Any, row: Row | None = None, spans: Any = None, **kwargs: Any) -> Any:
    """Replace a causal LM's forward; with a row or spans, return the log-probs of all response tokens, [R]."""
    if spans is not None:
        return padded_logps(self.forward_without_responses, spans=spans, **kwargs)
    if row is None:
        with own_attention(self):
            return self.forward_without_responses(*args, **kwargs)
    hidden = self.base_model(*args, row=row, use_cache=False, **kwargs).last_hidden_state
    hidden_RH = hidden[0].index_select(0, row.source_R)
    return self.get_output_embeddings()(hidden_RH, token_R=row.token_R, soft_cap=soft_cap_of(self))
