"""AOT for unpaired data: chosen rewards are better than rejected ones in distribution."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import BelowHalf, Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratios
from apm_exp.training.losses.smoothed_logistic import smoothed_logistic

if TYPE_CHECKING:
    from torch import Tensor

ACROSS_PAIRS = "process"  # the pairs of one forward of one process are looked at together


def aot_unpaired(pairs: PairLogps, *, beta: Positive, label_smoothing: BelowHalf = 0.0) -> "Tensor":
    """-log sigmoid(beta * (R_w(i) - R_l(i))), the summed log-ratios of each side sorted: nats, shape B.

    Unpaired AOT (Melnyk et al., 2024, Sec. 4), Eq. 4 of the small-model report. Sorted within one forward on one
    device (`runtime.pairs_per_device`): the i-th loss belongs to no one pair.
    """
    chosen_B, rejected_B = (ratio_B.sort().values for ratio_B in log_ratios(pairs))
    return smoothed_logistic(beta * (chosen_B - rejected_B), label_smoothing)
