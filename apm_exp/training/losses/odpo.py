"""ODPO: DPO with an offset that grows with the explicit margin."""

from typing import TYPE_CHECKING, Literal

from apm_exp.core.ranges import NotNegative, Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratio_margin

if TYPE_CHECKING:
    from torch import Tensor


def odpo(pairs: PairLogps, *, beta: Positive, alpha: NotNegative, scale: Literal["log", "linear"]) -> "Tensor":
    """Return -log sigmoid(beta D - alpha f(m)), m the explicit margin in reward units: nats, shape B.

    ODPO (Amini et al., 2024). f is the logarithm (scale=log, as in the paper) or the identity (scale=linear). D: margin
    of the summed log-ratios. Raises MissingRewards for pairs without rewards, and ValueError for scale=log if a chosen
    reward is not above the rejected one.
    """
    from torch.nn.functional import logsigmoid

    margin_B = pairs.explicit_margin_B
    if scale == "log":
        if not bool((margin_B > 0).all()):
            below = int((margin_B <= 0).sum())
            remedy = "set loss.scale=linear, or keep pairs with a positive explicit margin"
            raise ValueError(f"loss.scale=log: {below} chosen rewards are not above the rejected ones; {remedy}")
        margin_B = margin_B.log()
    return -logsigmoid(beta * log_ratio_margin(pairs) - alpha * margin_B)
