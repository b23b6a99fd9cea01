"""KTO for pairs: each response is compared with the mean log-ratio of the other side."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratios

if TYPE_CHECKING:
    from torch import Tensor

ACROSS_PAIRS = "process"  # compares the pairs of one forward in one process


def kto(pairs: PairLogps, *, beta: Positive) -> "Tensor":
    """Return half of 1 - sigmoid(beta (R_w - z_l)) + 1 - sigmoid(beta (z_w - R_l)): shape B, between 0 and 1.

    R: summed log-ratios. z: their mean over the pairs of one forward on one device, clamped at 0, an estimate of the KL
    divergence without a gradient. KTO (Ethayarajh et al., 2024) with equal weights, in the batch form for pairs of that
    paper's code. That code lets the gradient through z; the paper, and this loss, do not.
    """
    chosen_B, rejected_B = log_ratios(pairs)
    chosen_drift, rejected_drift = (ratio_B.detach().mean().clamp(min=0) for ratio_B in (chosen_B, rejected_B))
    desirable_B = (beta * (rejected_drift - chosen_B)).sigmoid()
    return 0.5 * (desirable_B + (beta * (rejected_B - chosen_drift)).sigmoid())
