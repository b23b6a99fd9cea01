"""R-DPO: DPO with a length penalty."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import NotNegative, Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratio_margin

if TYPE_CHECKING:
    from torch import Tensor


def r_dpo(pairs: PairLogps, *, beta: Positive, length_penalty: NotNegative) -> "Tensor":
    """Return -log sigmoid(beta D + length_penalty * (|y_w| - |y_l|)), D the summed log-ratio margin: nats, shape B.

    R-DPO (Park et al., 2024), whose alpha is our length_penalty, per token. A pair with a longer chosen response has a
    smaller gradient.
    """
    from torch.nn.functional import logsigmoid

    longer_B = pairs.chosen_len_B - pairs.rejected_len_B
    return -logsigmoid(beta * log_ratio_margin(pairs) + length_penalty * longer_B)
