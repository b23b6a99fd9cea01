"""SPPO with hard preferences: a squared loss that pulls both log-ratios to targets."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratios

if TYPE_CHECKING:
    from torch import Tensor


def sppo_hard(pairs: PairLogps, *, beta: Positive) -> "Tensor":
    """Return (R_w - 1 / (2 beta))^2 + (R_l + 1 / (2 beta))^2, R the summed log-ratios: square nats, shape B.

    Eq. 4.7 of SPPO (Wu et al., 2024) with win probabilities of 1 and 0; its eta is 1 / beta.
    """
    chosen_B, rejected_B = log_ratios(pairs)
    return (chosen_B - 0.5 / beta) ** 2 + (rejected_B + 0.5 / beta) ** 2
