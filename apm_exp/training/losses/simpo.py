"""SimPO: length-normalized log-probs with a target margin, without a reference."""

from typing import TYPE_CHECKING, Literal

from apm_exp.core.ranges import BelowHalf, NotNegative, Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import mean_logps
from apm_exp.training.losses.smoothed_logistic import smoothed_logistic

if TYPE_CHECKING:
    from torch import Tensor

IN_TRL = "CPOTrainer"  # the trainer of TRL that equals it
_LOWEST_BETA = 1.0  # SimPO's reward is a mean over tokens, so its beta is about 100 times DPO's


def simpo(
    pairs: PairLogps,
    *,
    beta: Positive,
    gamma_beta_ratio: NotNegative,
    form: Literal["logistic", "hinge"] = "logistic",
    label_smoothing: BelowHalf = 0.0,
    sft_weight: NotNegative = 0.0,
) -> "Tensor":
    """Return -log sigmoid(beta * (A_w - A_l - gamma_beta_ratio)), A = log pi(y|x) / |y|: nats, shape B.

    Eq. 7 of the paper, Eq. 6 of SimPO (Meng et al., 2024), with gamma = gamma_beta_ratio * beta. A and gamma_beta_ratio
    are in nats per token; beta is per (nat per token). The reference is not used. Options of the SimPO release's
    trainer: label_smoothing, the assumed share of flipped labels; form=hinge, max(0, 1 - beta * (A_w - A_l -
    gamma_beta_ratio)), which has no label_smoothing; and sft_weight, which adds -sft_weight * A_w, here the mean over
    the pair's own response. Raises ValueError if the hinge form is combined with label_smoothing.
    """
    chosen_B, rejected_B = mean_logps(pairs)
    logit_B = beta * (chosen_B - rejected_B - gamma_beta_ratio)
    if form == "hinge" and label_smoothing:
        raise ValueError(f"loss.label_smoothing={label_smoothing}: the hinge form has none; set 0")
    loss_B = (1 - logit_B).clamp(min=0) if form == "hinge" else smoothed_logistic(logit_B, label_smoothing)
    return loss_B - sft_weight * chosen_B


def unusual(*, beta: float) -> str | None:
    """Return a warning about a beta that is a value for DPO."""
    if beta >= _LOWEST_BETA:
        return None
    return (
        f"loss.beta={beta:g}: SimPO's reward is per token, so 2 to 10 is usual; below {_LOWEST_BETA:g} (typical "
        "for DPO) its loss is nearly linear"
    )
