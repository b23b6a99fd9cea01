"""APO-hinge: APO-zero with a margin beyond which a response has no gradient."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratios

if TYPE_CHECKING:
    from torch import Tensor


def apo_hinge(pairs: PairLogps, *, beta: Positive, margin: Positive) -> "Tensor":
    """Return max(0, margin - beta R_w) + max(0, margin + beta R_l), R the summed log-ratios: shape B.

    Eq. 11 of the small-model report ("APO-hinge-zero"), with beta applied once (docs/method.md). With a beta of 0.1 and
    a margin of 1, a response has a gradient until its log-ratio has moved by 10 nats.
    """
    chosen_B, rejected_B = (beta * ratio_B for ratio_B in log_ratios(pairs))
    return (margin - chosen_B).clamp(min=0) + (margin + rejected_B).clamp(min=0)
