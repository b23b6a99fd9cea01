"""Margin-sigmoid: DPO in which a pair with a small loss has no gradient."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import BelowHalf, NotNegative, Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.history import History
from apm_exp.training.losses.log_ratios import log_ratio_margin

if TYPE_CHECKING:
    from torch import Tensor


def margin_sigmoid(
    pairs: PairLogps,
    history: History,
    *,
    beta: Positive,
    delta: NotNegative,
    label_smoothing: BelowHalf,
    curriculum_epochs: NotNegative,
) -> "Tensor":
    """Return (1 - e) max(0, l+ - delta) + e max(0, l- - delta), l+- = -log sigmoid(+-beta D): nats, shape B.

    The adaptive margin-sigmoid loss of the small-model report (Sec. 4.1). D: margin of the summed log-ratios; e:
    label_smoothing. With curriculum_epochs=0, delta (nats) is fixed, as in the report. Otherwise it rises linearly with
    the optimizer steps from 0 to its value over that many epochs, an extension that Sec. 6.4.4 suggests.
    """
    from torch.nn.functional import logsigmoid

    risen = min(1.0, history.epochs / curriculum_epochs) if curriculum_epochs else 1.0
    logit_B = beta * log_ratio_margin(pairs)
    right_B = (-logsigmoid(logit_B) - risen * delta).clamp(min=0)
    wrong_B = (-logsigmoid(-logit_B) - risen * delta).clamp(min=0)
    return (1 - label_smoothing) * right_B + label_smoothing * wrong_B
