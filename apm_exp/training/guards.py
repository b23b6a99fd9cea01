"""What stops a training at once: numbers that are not finite, and a policy that is not the one that was scored."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from apm_exp.precision import SHORT, TOLERANCE
from apm_exp.training.consumption import Consumption
from apm_exp.types import PairLogps

_IDS_SHOWN = 8


def named(pair_ids: Sequence[str]) -> str:
    """The first ids, and how many more there are."""
    more = len(pair_ids) - _IDS_SHOWN
    return ", ".join(pair_ids[:_IDS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def check_loss(loss_B: Tensor, step: int, pair_ids: Sequence[str]) -> None:
    """Raise ValueError, with the step and the pairs, where a loss is not finite."""
    finite_B = torch.isfinite(loss_B.detach()).tolist()
    if not all(finite_B):
        bad = [name for name, finite in zip(pair_ids, finite_B, strict=True) if not finite]
        raise ValueError(
            f"trainer.learning_rate: the loss is not finite at step {step} for the pairs {named(bad)}; "
            "look at them, or lower the learning rate"
        )


def check_first_step(pairs: PairLogps, dtype: str, pair_ids: Sequence[str]) -> None:
    """Check that the untrained policy gives the stored log-probs, within the noise of `dtype` (nats a token).

    Raises ValueError with the worst pair: then the weights, the tokens or the code are not those that were scored.
    """
    chosen_B = (pairs.chosen_logp_B - pairs.reference_chosen_logp_B).abs() / pairs.chosen_len_B.clamp(min=SHORT)
    rejected_B = (pairs.rejected_logp_B - pairs.reference_rejected_logp_B).abs() / pairs.rejected_len_B.clamp(min=SHORT)
    worst, index = torch.maximum(chosen_B, rejected_B).detach().max(dim=0)
    if not worst.item() <= TOLERANCE[dtype]:
        raise ValueError(
            f"rebuild=logps: before the first step the policy's log-prob of {pair_ids[int(index)]} differs from the "
            f"stored one by {worst.item():.2g} nats a token (rounding explains {TOLERANCE[dtype]:g}); "
            "the stored ones are not of this policy: build them again"
        )


class GradientGuard(TrainerCallback):
    """Stops the training before an optimizer step with a gradient that is not finite."""

    def __init__(self, consumption: Consumption) -> None:
        self.consumption = consumption
        self.trainer: Any = None  # set by the code that makes the trainer

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Raise ValueError, with the step and its pairs. float16's loss scaler skips such steps by itself."""
        if args.fp16 or torch.isfinite(_gradient_norm(self.trainer)):
            return
        raise ValueError(
            f"trainer.learning_rate: the gradient is not finite at step {state.global_step + 1}, with the pairs "
            f"{named(self.consumption.step_ids)}; look at them, or lower the learning rate"
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The step was good; the next one's pairs are counted afresh."""
        self.consumption.step_ids.clear()


def _gradient_norm(trainer: Any) -> Tensor:
    if trainer.is_deepspeed_enabled:
        return torch.as_tensor(trainer.model_wrapped.get_global_grad_norm())
    gradients = [p.grad for p in trainer.model.parameters() if p.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)
