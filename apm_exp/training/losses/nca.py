"""NCA: noise-contrastive alignment of each response with the starting policy."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratios

if TYPE_CHECKING:
    from torch import Tensor


def nca(pairs: PairLogps, *, beta: Positive) -> "Tensor":
    """Return -log s(r_w) - (log s(-r_w) + log s(-r_l)) / 2, r = beta * summed log-ratio, s the sigmoid: nats, shape B.

    NCA for pairs (Chen et al., 2024, with two responses and hard labels).
    """
    from torch.nn.functional import logsigmoid

    chosen_B, rejected_B = (beta * ratio_B for ratio_B in log_ratios(pairs))
    return -logsigmoid(chosen_B) - 0.5 * logsigmoid(-chosen_B) - 0.5 * logsigmoid(-rejected_B)
