"""R-DPO: DPO with a penalty on length."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import NotNegative, Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratio_margin

if TYPE_CHECKING:
    from torch import Tensor


def r_dpo(pairs: PairLogps, *, beta: Positive, length_penalty: NotNegative) -> "Tensor":
    """-log sigmoid(beta D + length_penalty * (|y_w| - |y_l|)), D the margin of the summed log-ratios: nats, shape B.

    R-DPO (Park et al., 2024), whose alpha is our length_penalty, per token. A pair whose chosen response is
    the longer one has less to learn from.
    """
    from torch.nn.functional import logsigmoid

    longer_B = pairs.chosen_len_B - pairs.rejected_len_B
    return -logsigmoid(beta * log_ratio_margin(pairs) + length_penalty * longer_B)
