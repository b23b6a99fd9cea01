"""AOT for unpaired data: chosen rewards should exceed rejected rewards in distribution."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import BelowHalf, Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratios
from apm_exp.training.losses.smoothed_logistic import smoothed_logistic

if TYPE_CHECKING:
    from torch import Tensor

ACROSS_PAIRS = "process"  # compares the pairs of one forward in one process


def aot_unpaired(pairs: PairLogps, *, beta: Positive, label_smoothing: BelowHalf = 0.0) -> "Tensor":
    """Return -log sigmoid(beta * (R_w(i) - R_l(i))), with the summed log-ratios of each side sorted: nats, shape B.

    Unpaired AOT (Melnyk et al., 2024, Sec. 4), Eq. 4 of the small-model report. Log-ratios are sorted within one
    forward on one device (`runtime.pairs_per_device`): the i-th loss does not belong to a single pair.
    """
    chosen_B, rejected_B = (ratio_B.sort().values for ratio_B in log_ratios(pairs))
    return smoothed_logistic(beta * (chosen_B - rejected_B), label_smoothing)
