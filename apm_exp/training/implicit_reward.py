"""The reward that a loss pulls apart, for the training curves."""

from torch import Tensor

from apm_exp.losses.log_ratios import log_ratios, mean_logps
from apm_exp.types import PairLogps


def implicit_rewards(pairs: PairLogps, *, beta: float, with_reference: bool) -> tuple[Tensor, Tensor]:
    """Chosen and rejected implicit rewards [B].

    With a reference: beta * log-ratio, summed over the response (DPO, Eq. 5). Without: beta * log-prob per token
    (SimPO, Eq. 4).
    """
    chosen_B, rejected_B = log_ratios(pairs) if with_reference else mean_logps(pairs)
    return beta * chosen_B, beta * rejected_B
