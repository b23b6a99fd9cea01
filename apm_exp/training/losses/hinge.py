"""The hinge loss on the margin of log-ratios (RSO, after SLiC)."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratio_margin

if TYPE_CHECKING:
    from torch import Tensor


def hinge(pairs: PairLogps, *, beta: Positive, margin: Positive) -> "Tensor":
    """Return max(0, margin - beta D), D the margin of the summed log-ratios in nats: shape B.

    The hinge-norm loss of RSO (Liu et al., 2023), which is SLiC's with a reference and uses a margin of 1.
    """
    return (margin - beta * log_ratio_margin(pairs)).clamp(min=0)
