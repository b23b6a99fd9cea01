"""What stops a training at once: numbers that are not finite, and a policy that is not the one that was scored."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from apm_exp.core.rounding import SHORT, TOLERANCE
from apm_exp.core.types import PairLogps
from apm_exp.training.callbacks.consumption import Consumption

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


def difference_from(pairs: PairLogps, chosen_B: Tensor, rejected_B: Tensor) -> Tensor:
    """By how many nats a token each pair's log-probs differ from others, [B]."""
    of_chosen_B = (pairs.chosen_logp_B - chosen_B).abs() / pairs.chosen_len_B.clamp(min=SHORT)
    of_rejected_B = (pairs.rejected_logp_B - rejected_B).abs() / pairs.rejected_len_B.clamp(min=SHORT)
    return torch.maximum(of_chosen_B, of_rejected_B).detach()


def difference_from_stored(pairs: PairLogps) -> Tensor:
    """By how many nats a token each pair's log-probs differ from the stored ones, [B]."""
    return difference_from(pairs, pairs.reference_chosen_logp_B, pairs.reference_rejected_logp_B)


def first_step_problem(pairs: PairLogps, again: PairLogps, padded: PairLogps, dtype: str, named_pair: str) -> str:
    """The line for an untrained policy that does not give the stored log-probs: by cause, with the cure of each.

    again: of the same pairs a second time. padded: in the padded form.
    """
    rounding = TOLERANCE[dtype]
    off = difference_from_stored(pairs).max().item()
    differs = f"before the first step the policy's log-prob of {named_pair} differs from the stored one by {off:.2g}"
    differs += f" nats a token (rounding explains {rounding:g})"
    noise = difference_from(pairs, again.chosen_logp_B, again.rejected_logp_B).max().item()
    if noise > rounding:
        return (
            f"model.path: {differs}, and from itself a second time by {noise:.2g}: the model draws noise when it is "
            "trained (dropout that none of its configuration's fields turns off); train a model without"
        )
    if difference_from_stored(padded).max().item() <= rounding:
        return (
            f"model.attention=auto: {differs}, and in padded rows it does not: the model cannot share prompts here; "
            "take model.attention=eager"
        )
    return f"rebuild=logps: {differs}; the stored ones are not of this policy: build them again"


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
