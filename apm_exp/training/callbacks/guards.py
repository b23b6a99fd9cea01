"""Checks that stop a training at once: losses and gradients that are not finite, and a policy that was not scored."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from apm_exp.core.rounding import tolerated
from apm_exp.core.types import PairLogps
from apm_exp.training.callbacks.consumption import Consumption

_IDS_SHOWN = 8


def named(pair_ids: Sequence[str]) -> str:
    """Return the first ids, and how many more there are, as text."""
    more = len(pair_ids) - _IDS_SHOWN
    return ", ".join(pair_ids[:_IDS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def check_loss(loss_B: Tensor, step: int, pair_ids: Sequence[str]) -> None:
    """Raise ValueError with the optimizer step and the pairs if a loss is not finite."""
    finite_B = torch.isfinite(loss_B.detach()).tolist()
    if not all(finite_B):
        bad = [name for name, finite in zip(pair_ids, finite_B, strict=True) if not finite]
        raise ValueError(
            f"trainer.learning_rate: the loss is not finite at optimizer step {step} for pairs {named(bad)}; "
            "check them, or lower the learning rate"
        )


def difference_from(pairs: PairLogps, chosen_B: Tensor, rejected_B: Tensor, dtype: str) -> Tensor:
    """Return how many times more than rounding each pair's log-probs differ from the given ones, shape [B]."""
    of_chosen_B = (pairs.chosen_logp_B - chosen_B).abs() / _tolerated(dtype, pairs.chosen_len_B)
    of_rejected_B = (pairs.rejected_logp_B - rejected_B).abs() / _tolerated(dtype, pairs.rejected_len_B)
    return torch.maximum(of_chosen_B, of_rejected_B).detach()


def _tolerated(dtype: str, length_B: Tensor) -> Tensor:
    return torch.tensor([tolerated(dtype, length) for length in length_B.tolist()], device=length_B.device)


def difference_from_stored(pairs: PairLogps, dtype: str) -> Tensor:
    """Return how many times more than rounding each pair's log-probs differ from the stored ones, shape [B]."""
    return difference_from(pairs, pairs.reference_chosen_logp_B, pairs.reference_rejected_logp_B, dtype)


def first_step_problem(pairs: PairLogps, again: PairLogps, padded: PairLogps, dtype: str, named_pair: str) -> str:
    """Return the error message for an untrained policy whose log-probs differ from the stored ones.

    The message depends on the cause. again: a second forward of the same pairs. padded: a forward with padding.
    """
    off = difference_from_stored(pairs, dtype).max().item()
    differs = f"before the first step the policy's log-prob of {named_pair} differs from the stored one by {off:.3g}"
    differs += f" times what rounding in {dtype} explains"
    noise = difference_from(pairs, again.chosen_logp_B, again.rejected_logp_B, dtype).max().item()
    if noise > 1:
        return (
            f"model.path: {differs}, and a second forward differs by {noise:.3g} times: the model is random when it is "
            "trained (dropout that no field of its configuration turns off); use a model without it"
        )
    if difference_from_stored(padded, dtype).max().item() <= 1:
        return (
            f"model.attention=auto: {differs}, but not with padding: the model does not support shared prompts; "
            "set model.attention=eager"
        )
    return f"rebuild=logps: {differs}; the stored log-probs are of another policy; rebuild them"


class GradientGuard(TrainerCallback):
    """A callback that stops the training before an optimizer step whose gradient is not finite."""

    def __init__(self, consumption: Consumption) -> None:
        self.consumption = consumption
        self.trainer: Any = None  # set by `attach`

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Raise ValueError with the optimizer step and its pairs. With float16, the loss scaler skips such steps
        itself.
        """
        if args.fp16 or torch.isfinite(_gradient_norm(self.trainer)):
            return
        raise ValueError(
            f"trainer.learning_rate: the gradient is not finite at optimizer step {state.global_step + 1} for pairs "
            f"{named(self.consumption.step_ids)}; check them, or lower the learning rate"
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Clear the pairs of the optimizer step that has completed."""
        self.consumption.step_ids.clear()


def _gradient_norm(trainer: Any) -> Tensor:
    if trainer.is_deepspeed_enabled:
        return torch.as_tensor(trainer.model_wrapped.get_global_grad_norm())
    gradients = [p.grad for p in trainer.model.parameters() if p.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)
