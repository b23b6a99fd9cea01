"""The only definition of a response's log-probability: scoring, training and evaluation all call `pair_forward`.

The prompt-and-response rows of a batch are padded on the right, the model's body runs on them once, and the output
head runs on the positions that predict response tokens only, in chunks, so that logits of shape [B, T, V] never
exist. Chunks are computed again in the backward pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from apm_exp.types import TokenisedPair

LOGITS_PER_CHUNK = 2**24  # elements of one chunk's float32 logits: 64 MiB
_PADDING = 0  # any token will do: with causal attention nothing that counts looks to its right


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
    causal_lm = accept_responses(model)
    rows = _rows(pairs)
    logp_R = model(**_layout(rows, causal_lm.device), use_cache=False)
    logp_2B = torch.stack([part.sum() for part in logp_R.split([len(response) for _, response in rows])])
    chosen_logp_B, rejected_logp_B = logp_2B.chunk(2)
    len_2B = torch.tensor([len(response) for _, response in rows], device=logp_2B.device)
    return ResponseLogps(chosen_logp_B, rejected_logp_B, *len_2B.chunk(2))


def _rows(pairs: Sequence[TokenisedPair]) -> list[tuple[list[int], list[int]]]:
    """Prompt and response of each row: the chosen ones of the batch, then the rejected ones."""
    chosen = [(pair.prompt_ids, pair.chosen_ids) for pair in pairs]
    rows = chosen + [(pair.prompt_ids, pair.rejected_ids) for pair in pairs]
    if not all(prompt and response for prompt, response in rows):
        raise ValueError("a pair with an empty prompt or an empty response has no log-probability")
    return rows


def _layout(rows: Sequence[tuple[list[int], list[int]]], device: torch.device) -> dict[str, Tensor]:
    """Tensors of a batch of rows: padded token ids [2B, T], and, for the R response tokens of all rows, one after
    the other, the token and the position (in the flattened batch) of the hidden state that predicts it.
    """
    input_ids = pad_sequence([torch.tensor(p + r) for p, r in rows], batch_first=True, padding_value=_PADDING)
    width = input_ids.shape[1]
    position_R = torch.cat([torch.arange(len(r)) + (row * width + len(p) - 1) for row, (p, r) in enumerate(rows)])
    token_R = torch.cat([torch.tensor(response) for _, response in rows])
    layout = {"input_ids": input_ids, "response_position_R": position_R, "response_token_R": token_R}
    return {name: tensor.to(device) for name, tensor in layout.items()}


def accept_responses(model: nn.Module) -> Any:
    """Teach the causal LM inside `model` to return response log-probs, once; returns that causal LM.

    Its forward then takes `response_position_R` and `response_token_R` too. Going through the model's own forward
    keeps the hooks of wrappers at work; calls without these arguments reach the original forward.
    """
    causal_lm: Any = model
    while hasattr(causal_lm, "module"):
        causal_lm = causal_lm.module
    if hasattr(causal_lm, "get_base_model"):
        causal_lm = causal_lm.get_base_model()
    if not hasattr(causal_lm, "forward_without_responses"):
        causal_lm.forward_without_responses = causal_lm.forward
        causal_lm.forward = MethodType(_forward, causal_lm)
    return causal_lm


def _forward(
    self: Any,
    *args: Any,
    response_position_R: Tensor | None = None,
    response_token_R: Tensor | None = None,
    **kwargs: Any,
) -> Any:
    """A causal LM's forward; with response positions it returns their log-probs [R] instead of an output object."""
    if response_position_R is None or response_token_R is None:
        return self.forward_without_responses(*args, **kwargs)
    given = {name: value for name, value in kwargs.items() if value is not None}
    hidden = self.base_model(*args, **given).last_hidden_state
    hidden_RH = hidden.flatten(0, 1)[response_position_R]
    return _token_logps(self, hidden_RH, response_token_R)


def _token_logps(causal_lm: Any, hidden_RH: Tensor, token_R: Tensor) -> Tensor:
    """The log-prob of each of R tokens (nats, float32), from the hidden states that predict them."""
    config = causal_lm.config.get_text_config()
    head, soft_cap = causal_lm.get_output_embeddings(), getattr(config, "final_logit_softcapping", None)
    rows = max(1, LOGITS_PER_CHUNK // config.vocab_size)
    chunks = zip(hidden_RH.split(rows), token_R.split(rows), strict=True)
    if not torch.is_grad_enabled():
        return torch.cat([_chunk_logps(head, soft_cap, hidden, token) for hidden, token in chunks])
    again = partial(checkpoint, _chunk_logps, head, soft_cap, use_reentrant=False, preserve_rng_state=False)
    return torch.cat([again(hidden, token) for hidden, token in chunks])


def _chunk_logps(head: nn.Module, soft_cap: float | None, hidden_CH: Tensor, token_C: Tensor) -> Tensor:
    """Log-probs of one chunk. The head is called as a module, so that its hooks and adapters are at work."""
    logits_CV = head(hidden_CH).float()
    if soft_cap is not None:
        logits_CV = torch.tanh(logits_CV / soft_cap) * soft_cap
    return -cross_entropy(logits_CV, token_C, reduction="none")
