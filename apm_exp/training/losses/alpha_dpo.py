"""alpha-DPO: SimPO with a target margin that depends on the pair's implicit reward."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import BelowHalf, BelowOne, NotNegative, Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.history import History
from apm_exp.training.losses.log_ratios import mean_log_ratios, mean_logps
from apm_exp.training.losses.smoothed_logistic import smoothed_logistic

if TYPE_CHECKING:
    from torch import Tensor

ACROSS_PAIRS = "processes"  # running averages use the forwards of all processes
_NOISE = 1e-6  # nats per token; a smaller spread, as before the first optimizer step, is only rounding


def alpha_dpo(
    pairs: PairLogps,
    history: History,
    *,
    beta: Positive,
    gamma_beta_ratio: NotNegative,
    alpha: NotNegative,
    decay: BelowOne,
    bias_corrected: bool,
    label_smoothing: BelowHalf = 0.0,
) -> "Tensor":
    """Return -log sigmoid(beta * (A_w - A_l - gamma_beta_ratio - alpha z)), A = log pi(y|x) / |y|: nats, shape B.

    alpha-DPO (Wu et al., 2024, arXiv 2410.10148). z = (g - mu) / s has no gradient; g = (A_w - A_l) minus the same
    difference of the reference; mu and s are running averages of its mean and unbiased standard deviation over the
    forwards of all processes. alpha is multiplied by beta, as in the release. bias_corrected=false: averages start at
    0, as in the release, which makes the first z about ten times too large. If g has no spread, z is 0.
    """
    chosen_B, rejected_B = mean_logps(pairs)
    ratio_B = mean_log_ratios(pairs)
    all_N, own = history.gather((ratio_B[0] - ratio_B[1]).detach())
    mean = history.exponential("mean", all_N.mean().item(), decay=decay, bias_corrected=bias_corrected)
    spread = all_N.std().item() if len(all_N) > 1 else 0.0
    if spread > _NOISE:
        spread = history.exponential("spread", spread, decay=decay, bias_corrected=bias_corrected)
    z_B = (all_N[own] - mean) / spread if spread > _NOISE else all_N[own] * 0
    return smoothed_logistic(beta * (chosen_B - rejected_B - gamma_beta_ratio - alpha * z_B), label_smoothing)


def rewards(pairs: PairLogps, beta: float) -> tuple["Tensor", "Tensor"]:
    """Return beta * log-prob per token of both responses, as in SimPO; the reference changes only the target margin."""
    chosen_B, rejected_B = mean_logps(pairs)
    return beta * chosen_B, beta * rejected_B
