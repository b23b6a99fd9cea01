"""DPO: log-ratios to the starting policy; with label smoothing, conservative DPO (cDPO)."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import BelowHalf, Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratio_margin
from apm_exp.training.losses.smoothed_logistic import smoothed_logistic

if TYPE_CHECKING:
    from torch import Tensor

IN_TRL = "DPOTrainer"  # the trainer of TRL that equals it


def dpo(pairs: PairLogps, *, beta: Positive, label_smoothing: BelowHalf = 0.0) -> "Tensor":
    """Return -log sigmoid(beta * (R_w - R_l)), R = log pi(y|x) - log pi_ref(y|x): nats, shape B.

    Eq. 6 of the paper, Eq. 7 of DPO (Rafailov et al., 2023). R is summed over the response's tokens, in nats; beta is
    per nat. Lengths are not used. label_smoothing: the assumed share of flipped labels, which adds that share of the
    loss of the flipped pair (cDPO, Mitchell, 2023).
    """
    return smoothed_logistic(beta * log_ratio_margin(pairs), label_smoothing)
