"""CPO: a contrast of summed log-probs without a reference, plus the likelihood of the chosen response."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import BelowHalf, NotNegative, Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import mean_logps
from apm_exp.training.losses.smoothed_logistic import smoothed_logistic

if TYPE_CHECKING:
    from torch import Tensor


def cpo(pairs: PairLogps, *, beta: Positive, sft_weight: NotNegative, label_smoothing: BelowHalf = 0.0) -> "Tensor":
    """Return -log sigmoid(beta * (log pi(y_w|x) - log pi(y_l|x))) - sft_weight * log pi(y_w|x) / |y_w|: nats, shape B.

    Eq. 3 of CPO (Xu et al., 2024), whose second term has a weight of 1. The first term sums log-probs over tokens. The
    second is the mean over the tokens of the pair's own response, so that a pair has the same weight in every batch;
    TRL takes the mean over all tokens of a forward.
    """
    contrast_B = smoothed_logistic(beta * (pairs.chosen_logp_B - pairs.rejected_logp_B), label_smoothing)
    return contrast_B - sft_weight * mean_logps(pairs)[0]


def rewards(pairs: PairLogps, beta: float) -> tuple["Tensor", "Tensor"]:
    """Return beta * log-prob of both responses, summed over tokens."""
    return beta * pairs.chosen_logp_B, beta * pairs.rejected_logp_B
