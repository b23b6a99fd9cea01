"""The reward that a loss pulls apart, for the training curves."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from apm_exp.types import PairLogps

Loss = Callable[[PairLogps], Tensor]


def reads_reference(loss: Loss) -> bool:
    """Whether a loss depends on the reference log-probs, found by its gradient on a made-up pair."""
    one = {field.name: torch.tensor([-3.0]) for field in fields(PairLogps)}
    one |= {name: torch.tensor([4.0]) for name in ("chosen_len_B", "rejected_len_B")}
    names = ("chosen_logp_B", "rejected_logp_B", "reference_chosen_logp_B", "reference_rejected_logp_B")
    for name in names:
        one[name].requires_grad_()
    references = [one["reference_chosen_logp_B"], one["reference_rejected_logp_B"]]
    slopes = torch.autograd.grad(loss(PairLogps(**one)).sum(), references, allow_unused=True)
    return any(slope is not None and bool(slope.any()) for slope in slopes)


def implicit_rewards(pairs: PairLogps, *, beta: float, with_reference: bool) -> tuple[Tensor, Tensor]:
    """Chosen and rejected implicit rewards [B].

    With a reference: beta * log-ratio, summed over the response (DPO, Eq. 5). Without: beta * log-prob per token
    (SimPO, Eq. 4).
    """
    if with_reference:
        chosen_B = pairs.chosen_logp_B - pairs.reference_chosen_logp_B
        rejected_B = pairs.rejected_logp_B - pairs.reference_rejected_logp_B
    else:
        chosen_B = pairs.chosen_logp_B / pairs.chosen_len_B
        rejected_B = pairs.rejected_logp_B / pairs.rejected_len_B
    return beta * chosen_B, beta * rejected_B


def beta_of(loss: Mapping[str, Any]) -> float:
    """The scale of a loss node's reward; 1 where the loss has none."""
    return float(loss.get("beta", 1.0))
