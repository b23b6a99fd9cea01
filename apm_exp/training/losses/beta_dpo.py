"""beta-DPO: DPO with a beta per batch, on a random subset of pairs that prefers typical margins."""

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from apm_exp.core.ranges import BelowOne, NotNegative, Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.history import History
from apm_exp.training.losses.log_ratios import log_ratio_margin

if TYPE_CHECKING:
    from torch import Tensor

ACROSS_PAIRS = "processes"  # running averages use the forwards of all processes
# nats; a smaller spread, as before the first optimizer step, is only rounding: all pairs get the same weight
_NOISE = 1e-6
_LEAST_BETA = 1e-3


def beta_dpo(
    pairs: PairLogps,
    history: History,
    *,
    beta: Positive,
    beta_slope: NotNegative,
    drop_fraction: BelowOne,
    decay: BelowOne,
    bias_corrected: bool,
) -> "Tensor":
    """Return -log sigmoid(beta_batch * D) for the sampled pairs and 0 for the others: nats, shape B.

    beta-DPO (Wu et al., 2024, arXiv 2407.08639). D: margin of the summed log-ratios; mu, s: running averages of its
    mean and standard deviation over the forwards of all processes. Of a forward's N pairs, N - floor(N * (1 -
    drop_fraction)) are dropped: the others are sampled without replacement with weights exp(-(D - mu)^2 / (2 s^2)); the
    seed and the number of the forward determine the sample. beta_batch = max(1e-3, beta * (1 + beta_slope * (mean D of
    the sampled - mu))). Losses are scaled so that their mean is that of the sampled pairs. bias_corrected=false:
    averages start at 0, as in the release.
    """
    from torch.nn.functional import logsigmoid

    margin_B = log_ratio_margin(pairs)
    all_N, own = history.gather(margin_B.detach())
    mean = history.exponential("mean", all_N.mean().item(), decay=decay, bias_corrected=bias_corrected)
    spread = all_N.std().item() if len(all_N) > 1 else 0.0
    if spread > _NOISE:
        spread = history.exponential("spread", spread, decay=decay, bias_corrected=bias_corrected)
    drawn_N = _drawn(all_N, mean, spread, drop_fraction, history)
    beta_batch = max(_LEAST_BETA, beta * (1 + beta_slope * (all_N[drawn_N].mean().item() - mean)))
    scale = len(all_N) / int(drawn_N.sum())
    return -logsigmoid(beta_batch * margin_B) * (scale * drawn_N[own])


def _drawn(margin_N: "Tensor", mean: float, spread: float, drop_fraction: float, history: History) -> "Tensor":
    """Return which pairs are sampled, as booleans.

    The largest values of log-weight plus Gumbel noise are a sample without replacement.
    """
    import torch

    dropped = math.ceil(Fraction(repr(drop_fraction)) * len(margin_N))  # exact decimal arithmetic: 0.8 of 10 is 8
    count = max(1, len(margin_N) - dropped)
    log_weight_N = -((margin_N.double().cpu() - mean) ** 2) / (2 * spread**2) if spread > _NOISE else 0.0
    draw = torch.Generator().manual_seed((history.seed << 32) % 2**63 + history.count_forward())
    uniform_N = torch.rand(len(margin_N), generator=draw, dtype=torch.float64)
    order_N = (log_weight_N - torch.log(-torch.log(uniform_N))).argsort(descending=True)
    drawn_N = torch.zeros(len(margin_N), dtype=torch.bool)
    drawn_N[order_N[:count]] = True
    return drawn_N.to(margin_N.device)
