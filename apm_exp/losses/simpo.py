"""SimPO: length-normalised log-probs with a target margin, and no reference."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from apm_exp.types import PairLogps

if TYPE_CHECKING:
    import torch


def simpo(
    pairs: PairLogps,
    *,
    beta: Annotated[float, Field(gt=0, allow_inf_nan=False)],
    gamma_beta_ratio: Annotated[float, Field(ge=0, allow_inf_nan=False)],
) -> "torch.Tensor":
    """-log sigmoid(beta * (A_w - A_l - gamma_beta_ratio)), A = log pi(y|x) / |y|: nats, shape B.

    Eq. 7 of the paper, Eq. 6 of SimPO (Meng et al., 2024), with gamma = gamma_beta_ratio * beta. A and
    gamma_beta_ratio are in nats per token, beta is per (nat per token). The reference fields are not looked
    at.
    """
    from torch.nn.functional import logsigmoid

    chosen_B = pairs.chosen_logp_B / pairs.chosen_len_B
    rejected_B = pairs.rejected_logp_B / pairs.rejected_len_B
    return -logsigmoid(beta * (chosen_B - rejected_B - gamma_beta_ratio))
