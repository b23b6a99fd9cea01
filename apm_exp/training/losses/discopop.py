"""DiscoPOP: a loss discovered by automated search, between logistic and exponential."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratio_margin

if TYPE_CHECKING:
    from torch import Tensor


def discopop(pairs: PairLogps, *, beta: Positive, temperature: Positive) -> "Tensor":
    """Return (1 - s) * -log sigmoid(u) + s * exp(-u), u = beta D, s = sigmoid(u / temperature): nats, shape B.

    The log-ratio modulated loss, Eq. 5 of DiscoPOP (Lu et al., 2024), which uses a temperature of 0.05. D: margin of
    the summed log-ratios.
    """
    from torch.nn.functional import logsigmoid

    logit_B = beta * log_ratio_margin(pairs)
    share_B = (logit_B / temperature).sigmoid()
    # s * exp(-u) is computed as one exponential: for very negative u it is finite, while exp(-u) alone overflows.
    exponential_B = (logsigmoid(logit_B / temperature) - logit_B).exp()
    return -logsigmoid(logit_B) * (1 - share_B) + exponential_B
