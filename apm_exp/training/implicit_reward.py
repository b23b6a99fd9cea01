"""Implicit rewards of a loss, for the training curves."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from apm_exp.core.told import told
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratios, mean_logps

Rewards = Callable[[PairLogps], tuple[Tensor, Tensor]]


def implicit_rewards(loss: Mapping[str, Any], *, with_reference: bool) -> Rewards:
    """Return a function that computes the chosen and rejected implicit rewards [B] of pairs for a loss node.

    It is `rewards(pairs, beta)` of the loss's module, if there is one. Otherwise: beta * log-ratio, summed over tokens,
    for a loss that reads the reference (DPO, Eq. 5), and beta * log-prob per token for one that does not (SimPO, Eq.
    4).
    """
    own = told("loss", loss, "rewards")
    return partial(own or (_of_log_ratios if with_reference else _of_mean_logps), beta=float(loss.get("beta", 1.0)))


def _of_log_ratios(pairs: PairLogps, beta: float) -> tuple[Tensor, Tensor]:
    chosen_B, rejected_B = log_ratios(pairs)
    return beta * chosen_B, beta * rejected_B


def _of_mean_logps(pairs: PairLogps, beta: float) -> tuple[Tensor, Tensor]:
    chosen_B, rejected_B = mean_logps(pairs)
    return beta * chosen_B, beta * rejected_B
