"""APO-hinge with softplus in place of the hinge."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import log_ratios

if TYPE_CHECKING:
    from torch import Tensor


def apo_hinge_softplus(pairs: PairLogps, *, beta: Positive, margin: Positive, temperature: Positive) -> "Tensor":
    """Return t softplus((margin - beta R_w) / t) + t softplus((margin + beta R_l) / t), t the temperature: shape B.

    Eq. 12 of the small-model report, with beta applied once (docs/method.md); the temperature, which is 1 in Eq. 12, is
    from its Sec. 6.4.4. R: the summed log-ratios. As t goes to 0 this becomes APO-hinge.
    """
    from torch.nn.functional import softplus

    chosen_B, rejected_B = (beta * ratio_B for ratio_B in log_ratios(pairs))
    return temperature * (softplus((margin - chosen_B) / temperature) + softplus((margin + rejected_B) / temperature))
