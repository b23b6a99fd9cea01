"""The peer that pads: one batch of chosen and rejected rows, the whole logits, and then the answers' tokens of them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from apm_exp.core.types import TokenizedPair


def padded_logps(model: Any, pairs: Sequence[TokenizedPair]) -> tuple[Tensor, Tensor]:
    """Summed log-probs of the chosen and of the rejected answers (B each, nats), differentiable.

    As the release of the paper's authors does it: rows padded on the right with an attention mask, logits of every
    position in float32, log_softmax of all of them, and a gather.
    """
    rows = [(pair.prompt_ids, pair.chosen_ids) for pair in pairs]
    rows += [(pair.prompt_ids, pair.rejected_ids) for pair in pairs]
    input_ids = _padded([prompt + answer for prompt, answer in rows], model.device)
    attention_mask = _padded([[1] * len(prompt + answer) for prompt, answer in rows], model.device)
    answer_mask = _padded([[0] * len(prompt) + [1] * len(answer) for prompt, answer in rows], model.device)
    logits = model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits.float()
    logps = logits[:, :-1].log_softmax(-1).gather(2, input_ids[:, 1:, None]).squeeze(2)
    chosen_B, rejected_B = (logps * answer_mask[:, 1:]).sum(1).chunk(2)
    return chosen_B, rejected_B


def _padded(rows: list[list[int]], device: torch.device) -> Tensor:
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True).to(device)
