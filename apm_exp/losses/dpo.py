"""DPO: log-ratios to the starting policy."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from apm_exp.types import PairLogps

if TYPE_CHECKING:
    import torch


def dpo(pairs: PairLogps, *, beta: Annotated[float, Field(gt=0, allow_inf_nan=False)]) -> "torch.Tensor":
    """-log sigmoid(beta * (R_w - R_l)), R = log pi(y|x) - log pi_ref(y|x): nats, shape B.

    Eq. 6 of the paper, Eq. 7 of DPO (Rafailov et al., 2023). R is summed over the response's tokens, in nats;
    beta is per nat. Lengths are not looked at.
    """
    from torch.nn.functional import logsigmoid

    chosen_B = pairs.chosen_logp_B - pairs.reference_chosen_logp_B
    rejected_B = pairs.rejected_logp_B - pairs.reference_rejected_logp_B
    return -logsigmoid(beta * (chosen_B - rejected_B))
