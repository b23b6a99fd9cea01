"""The training objective: the loss with its state, and the implicit rewards that are logged."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from apm_exp.core import component
from apm_exp.core.types import MissingRewards, PairLogps
from apm_exp.training.callbacks.guards import check_loss
from apm_exp.training.implicit_reward import Rewards, implicit_rewards
from apm_exp.training.loss_reads import NO_REWARDS, reads_reference
from apm_exp.training.losses.history import History
from apm_exp.training.pair_dataset import TrainingPair, explicit_margins

Loss = Callable[[PairLogps], Tensor]


@dataclass(frozen=True, eq=False)
class Objective:
    """The objective of a training.

    history: the loss's state. rewards: computes the implicit rewards to log. dtype: of the scored policy, or the key in
    TOLERANCE of a coarser rounding of the trained one.
    """

    loss: Loss
    history: History
    rewards: Rewards
    dtype: str


def make_objective(loss: Mapping[str, Any], history: History, dtype: str) -> Objective:
    """Return the objective of a loss node; raises ValueError if the node does not match its function's signature."""
    rewards = implicit_rewards(loss, with_reference=reads_reference(loss))
    return Objective(bind_loss(loss, history), history, rewards, dtype)


def bind_loss(loss: Mapping[str, Any], history: History) -> Loss:
    """Return a loss node as a function of the pairs alone."""
    bound = component.bind("loss", loss)
    if "history" in component.positional_names(bound.func):
        return lambda pairs: bound(pairs, history)
    return bound


def check_numbers(loss: Mapping[str, Any]) -> None:
    """Raise ValueError if the loss of typical pairs, or its gradient, is not finite with these settings.

    Raises ValueError too if it does not return one loss per pair.
    """
    chosen_B = torch.tensor([-40.0, -60.0], requires_grad=True)
    rejected_B = torch.tensor([-55.0, -50.0], requires_grad=True)
    lengths_B, reference_B = torch.tensor([20, 30]), torch.tensor([-45.0, -52.0])
    rewards_margin_B = torch.tensor([1.0, 0.5])
    pairs = PairLogps(chosen_B, rejected_B, reference_B, reference_B, lengths_B, lengths_B, rewards_margin_B)
    loss_B = bind_loss(loss, History())(pairs)
    if (shape := tuple(loss_B.shape)) != (2,):
        problem = f"returns shape {shape} for 2 pairs; return one loss per pair"
        raise ValueError(f"loss._target_={loss['_target_']}: {problem}")
    gradients = torch.autograd.grad(loss_B.sum(), (chosen_B, rejected_B), allow_unused=True)
    if not all(torch.isfinite(part).all() for part in (loss_B, *gradients) if part is not None):
        values = " ".join(f"loss.{name}={value}" for name, value in loss.items() if name != "_target_")
        raise ValueError(f"{values}: the loss of a typical pair is not finite; set smaller values")


def check_objective(loss: Mapping[str, Any], pairs: Sequence[TrainingPair], pair_ids: Sequence[str]) -> None:
    """Check the loss of all pairs before the first optimizer step, with the stored log-probs in place of the model's.

    Raises ValueError with the pairs whose loss is not finite, whatever the loss itself raises, and MissingRewards with
    a remedy.
    """
    chosen_P = torch.tensor([pair.reference_chosen_logp for pair in pairs])
    rejected_P = torch.tensor([pair.reference_rejected_logp for pair in pairs])
    chosen_len_P = torch.tensor([len(pair.tokens.chosen_ids) for pair in pairs])
    rejected_len_P = torch.tensor([len(pair.tokens.rejected_ids) for pair in pairs])
    batch = PairLogps(chosen_P, rejected_P, chosen_P, rejected_P, chosen_len_P, rejected_len_P, explicit_margins(pairs))
    try:
        loss_P = bind_loss(loss, History())(batch)
    except MissingRewards as error:
        raise MissingRewards(f"loss._target_={loss['_target_']}: {error}; {NO_REWARDS}") from error
    check_loss(loss_P, 0, pair_ids)
