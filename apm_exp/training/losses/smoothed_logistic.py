"""The logistic loss of a margin, with label smoothing."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def smoothed_logistic(logit_B: "Tensor", label_smoothing: float) -> "Tensor":
    """Return -(1 - e) log sigmoid(logit) - e log sigmoid(-logit), e the share of flipped labels: nats, shape B."""
    from torch.nn.functional import logsigmoid

    right_B = -logsigmoid(logit_B)
    if label_smoothing == 0:  # also avoids 0 * infinity if the other term overflows
        return right_B
    return (1 - label_smoothing) * right_B - label_smoothing * logsigmoid(-logit_B)
