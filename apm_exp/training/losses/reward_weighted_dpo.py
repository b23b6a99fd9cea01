"""DPO with each pair weighted by its explicit margin."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratio_margin

if TYPE_CHECKING:
    from torch import Tensor


def reward_weighted_dpo(pairs: PairLogps, *, beta: Positive, unit_margin: Positive) -> "Tensor":
    """Return -max(0, m / unit_margin) * log sigmoid(beta D), m the explicit margin in reward units: nats, shape B.

    The reward-difference coefficient of Wang et al. (2024, "Reward Difference Optimization For Sample Reweighting In
    Offline RLHF") on DPO. D: margin of the summed log-ratios. A pair whose rewards contradict its label has a weight of
    0. Raises MissingRewards for pairs without rewards.
    """
    from torch.nn.functional import logsigmoid

    weight_B = (pairs.explicit_margin_B / unit_margin).clamp(min=0)
    return -weight_B * logsigmoid(beta * log_ratio_margin(pairs))
