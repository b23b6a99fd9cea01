"""BCO for pairs: a classifier of chosen and rejected responses, with a reward shift."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.history import History
from apm_exp.training.losses.log_ratios import log_ratios

if TYPE_CHECKING:
    from torch import Tensor

ACROSS_PAIRS = "processes"  # running averages use the forwards of all processes


def bco(pairs: PairLogps, history: History, *, beta: Positive, reward_shift: bool) -> "Tensor":
    """Return -log sigmoid(r_w - d) - log sigmoid(d - r_l), r = beta * summed log-ratio: nats, shape B.

    BCO (Jung et al., 2024). d is the reward shift: the mean of the rewards of both sides so far, over all processes,
    without a gradient. reward_shift=false: d is 0, as in TRL's bco_pair.
    """
    import torch
    from torch.nn.functional import logsigmoid

    chosen_B, rejected_B = (beta * ratio_B for ratio_B in log_ratios(pairs))
    shift = 0.0
    if reward_shift:
        both_N, _ = history.gather(torch.stack([chosen_B.detach(), rejected_B.detach()], -1))
        shift = history.mean("reward", both_N.flatten())
    return -logsigmoid(chosen_B - shift) - logsigmoid(shift - rejected_B)
