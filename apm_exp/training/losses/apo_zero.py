"""APO-zero: raises the likelihood of the chosen response and lowers that of the rejected one."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratios

if TYPE_CHECKING:
    from torch import Tensor


def apo_zero(pairs: PairLogps, *, beta: Positive) -> "Tensor":
    """Return 1 - sigmoid(beta R_w) + sigmoid(beta R_l), R the summed log-ratios: shape B, between 0 and 2.

    Eq. 7 of APO (D'Oosterlinck et al., 2024), for chosen responses that are better than the policy's.
    """
    chosen_B, rejected_B = (beta * ratio_B for ratio_B in log_ratios(pairs))
    return (-chosen_B).sigmoid() + rejected_B.sigmoid()
