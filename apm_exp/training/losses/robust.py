"""Robust DPO: an unbiased loss if a known share of the labels is flipped."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import BelowHalf, Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratio_margin

if TYPE_CHECKING:
    from torch import Tensor


def robust(pairs: PairLogps, *, beta: Positive, label_smoothing: BelowHalf) -> "Tensor":
    """Return (-(1 - e) log sigmoid(beta D) + e log sigmoid(-beta D)) / (1 - 2 e): nats, shape B, may be negative.

    D: margin of the summed log-ratios; e: the share of flipped labels. rDPO of Chowdhury et al. (2024): its expected
    value over flipped labels is DPO's loss on the right ones.
    """
    from torch.nn.functional import logsigmoid

    logit_B = beta * log_ratio_margin(pairs)
    as_labeled_B, flipped_B = -logsigmoid(logit_B), -logsigmoid(-logit_B)
    return ((1 - label_smoothing) * as_labeled_B - label_smoothing * flipped_B) / (1 - 2 * label_smoothing)
