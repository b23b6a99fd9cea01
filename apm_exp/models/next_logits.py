"""The logits of the token that follows a prompt and each of its continuations; each prompt is computed once."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from apm_exp.models.forward.output_head import soft_cap_of
from apm_exp.models.forward.row import Prompted, make_row
from apm_exp.models.pair_forward import accept_responses


def next_logits(model: nn.Module, prompts: Sequence[Prompted]) -> Iterator[Tensor]:
    """Yield the logits [N, V] (float32) of the token after each of a prompt's N continuations, which may be empty."""
    causal_lm = accept_responses(model)
    if not causal_lm.shares_prompts:
        yield from (_plain(causal_lm, *prompt) for prompt in prompts)
        return
    # a response's last token is only predicted: with any token in its place, the one before it is the last that is read
    row = make_row([(ids, [[*each, 0] for each in responses]) for ids, responses in prompts], causal_lm.device)
    inputs = {"input_ids": row.input_ids, "position_ids": row.position_ids}
    hidden_TH = causal_lm.base_model(**inputs, row=row, use_cache=False).last_hidden_state[0]
    last_N = row.source_R[torch.tensor([*accumulate(row.lengths_N)], device=row.source_R.device) - 1]
    head, cap = causal_lm.get_output_embeddings(), soft_cap_of(causal_lm)
    for own_N in last_N.split([len(responses) for _, responses in prompts]):
        logits_NV = head(hidden_TH[own_N]).float()
        yield logits_NV if cap is None else torch.tanh(logits_NV / cap) * cap


def _plain(causal_lm: Any, prompt: Sequence[int], responses: Sequence[Sequence[int]]) -> Tensor:
    """Compute the same with the model's own forward, one continuation at a time."""
    rows = (torch.tensor([[*prompt, *each]], device=causal_lm.device) for each in responses)
    return torch.stack([causal_lm(input_ids=ids).logits[0, -1].float() for ids in rows])
