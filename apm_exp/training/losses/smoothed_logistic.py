"""The logistic loss of a margin, with labels that may be wrong."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def smoothed_logistic(logit_B: "Tensor", label_smoothing: float) -> "Tensor":
    """-(1 - e) log sigmoid(logit) - e log sigmoid(-logit), e the share of labels that are wrong: nats, shape B."""
    from torch.nn.functional import logsigmoid

    right_B = -logsigmoid(logit_B)
    if label_smoothing == 0:  # also where the other term would overflow
        return right_B
    return (1 - label_smoothing) * right_B - label_smoothing * logsigmoid(-logit_B)
