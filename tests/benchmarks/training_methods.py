"""The ways to compute a training step's loss and gradient that are compared: forward, DPO loss, backward.

No optimizer: its step is the same for all of them. All take batches of 4 pairs and add up the batches' gradients.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from transformers import LlamaForCausalLM
from trl import DPOTrainer

from apm_exp.core.types import PairLogps, TokenizedPair
from apm_exp.models.pair_forward import pair_forward
from apm_exp.training.losses.dpo import dpo
from tests.benchmarks.contenders import OURS, PADDED
from tests.benchmarks.model_shape import same_weights
from tests.benchmarks.padded import padded_logps
from tests.benchmarks.scoring_methods import our_runtime
from tests.benchmarks.trl_peer import trl_loss, trl_trainer
from tests.benchmarks.workload import batches

BETA = 0.1
PAIRS_PER_BATCH = 4
Reference = list[tuple[float, float]]  # of each pair, nats: chosen, rejected
BatchLoss = Callable[[list[TokenizedPair], Reference], tuple[Tensor, Tensor | None]]
Steps = Callable[[list[TokenizedPair], Reference], "StepResult"]


@dataclass(frozen=True, eq=False)
class StepResult:
    """What the steps of all batches gave: the loss of each (nats), and the log-probs [P, 2] where they are known."""

    losses: list[float]
    logps: Tensor | None


def training_method(name: str, model: LlamaForCausalLM) -> Steps:
    """A function from pairs and reference log-probs to a StepResult, which leaves the gradient in the parameters."""
    own = same_weights(model).train()
    if name == OURS:
        our_runtime(own)
        batch_loss: BatchLoss = partial(_ours, own)
    elif name == PADDED:
        batch_loss = partial(_padded, own)
    else:
        batch_loss = partial(_trl, trl_trainer(own, BETA))
    return partial(_steps, own, batch_loss)


def _steps(
    model: LlamaForCausalLM, batch_loss: BatchLoss, pairs: list[TokenizedPair], reference: Reference
) -> StepResult:
    model.zero_grad(set_to_none=True)
    losses, logps = [], []
    for start, part in zip(range(0, len(pairs), PAIRS_PER_BATCH), batches(pairs, PAIRS_PER_BATCH), strict=True):
        loss, logps_B2 = batch_loss(part, reference[start : start + len(part)])
        loss.backward()
        losses.append(loss.detach())
        logps.append(logps_B2)
    known = [part.detach().float().cpu() for part in logps if part is not None]
    return StepResult([loss.item() for loss in losses], torch.cat(known) if known else None)


def _ours(model: LlamaForCausalLM, pairs: list[TokenizedPair], reference: Reference) -> tuple[Tensor, Tensor]:
    logps = pair_forward(model, pairs)
    return _dpo(logps.chosen_logp_B, logps.rejected_logp_B, pairs, reference)


def _padded(model: LlamaForCausalLM, pairs: list[TokenizedPair], reference: Reference) -> tuple[Tensor, Tensor]:
    return _dpo(*padded_logps(model, pairs), pairs, reference)


def _trl(trainer: DPOTrainer, pairs: list[TokenizedPair], reference: Reference) -> tuple[Tensor, None]:
    return trl_loss(trainer, pairs, reference), None


def _dpo(
    chosen_B: Tensor, rejected_B: Tensor, pairs: list[TokenizedPair], reference: Reference
) -> tuple[Tensor, Tensor]:
    """The mean loss of a batch and the log-probs [B, 2] that it was computed from."""
    reference_chosen_B, reference_rejected_B = torch.tensor(reference, device=chosen_B.device).unbind(1)
    lengths = ([len(pair.chosen_ids) for pair in pairs], [len(pair.rejected_ids) for pair in pairs])
    len_B = (torch.tensor(length, device=chosen_B.device) for length in lengths)
    logps = PairLogps(chosen_B, rejected_B, reference_chosen_B, reference_rejected_B, *len_B)
    return dpo(logps, beta=BETA).mean(), torch.stack([chosen_B, rejected_B], 1)
