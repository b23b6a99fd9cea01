"""IPO: a squared loss that pulls the margin of log-ratios to a target."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import mean_log_ratios

if TYPE_CHECKING:
    from torch import Tensor


def ipo(pairs: PairLogps, *, beta: Positive) -> "Tensor":
    """Return (D - 1 / (2 beta))^2, D the margin of the log-ratios per token: shape B.

    Eq. 17 of IPO (Azar et al., 2023), whose tau is our beta, per (nat per token). The paper writes sums, but its
    authors confirmed to TRL that they used means over tokens, which make one beta suit all lengths.
    """
    chosen_B, rejected_B = mean_log_ratios(pairs)
    return (chosen_B - rejected_B - 1 / (2 * beta)) ** 2


def rewards(pairs: PairLogps, beta: float) -> tuple["Tensor", "Tensor"]:
    """Return beta * log-ratio per token of both responses; the loss pulls their difference to 1/2."""
    chosen_B, rejected_B = mean_log_ratios(pairs)
    return beta * chosen_B, beta * rejected_B
