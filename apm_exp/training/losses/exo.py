"""EXO for pairs: the reverse KL divergence to a softened preference."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from apm_exp.core.ranges import Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratio_margin

if TYPE_CHECKING:
    from torch import Tensor


def exo(pairs: PairLogps, *, beta: Positive, label_smoothing: Annotated[float, Field(gt=0, lt=0.5)]) -> "Tensor":
    """Return KL((s, 1 - s) || (1 - e, e)), s = sigmoid(beta D), D the margin of the summed log-ratios: nats, shape B.

    Eq. 16 of EXO (Ji et al., 2024). label_smoothing is e; with 0 the loss would be infinite.
    """
    import math

    import torch
    from torch.nn.functional import logsigmoid

    logit_B = beta * log_ratio_margin(pairs)
    chosen_B = torch.sigmoid(logit_B) * (logsigmoid(logit_B) - math.log1p(-label_smoothing))
    return chosen_B + torch.sigmoid(-logit_B) * (logsigmoid(-logit_B) - math.log(label_smoothing))
