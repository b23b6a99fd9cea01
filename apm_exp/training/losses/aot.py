"""AOT for paired data: the policy's margins should exceed the reference's in distribution."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import BelowHalf, Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.smoothed_logistic import smoothed_logistic

if TYPE_CHECKING:
    from torch import Tensor

ACROSS_PAIRS = "process"  # compares the pairs of one forward in one process


def aot(pairs: PairLogps, *, beta: Positive, label_smoothing: BelowHalf = 0.0) -> "Tensor":
    """Return -log sigmoid(beta * (M_(i) - N_(i))), M and N the sorted margins of policy and reference: nats, shape B.

    Paired AOT (Melnyk et al., 2024, Sec. 4). Margins are of summed log-probs and are sorted within one forward on one
    device (`runtime.pairs_per_device`): the i-th loss belongs to the i-th smallest margin, not to the i-th pair.
    """
    policy_B = (pairs.chosen_logp_B - pairs.rejected_logp_B).sort().values
    reference_B = (pairs.reference_chosen_logp_B - pairs.reference_rejected_logp_B).sort().values
    return smoothed_logistic(beta * (policy_B - reference_B), label_smoothing)
