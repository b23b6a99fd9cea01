"""ORPO: the likelihood of the chosen response, plus the odds ratio of both."""

from typing import TYPE_CHECKING

from apm_exp.core.ranges import Positive
from apm_exp.core.types import PairLogps
from apm_exp.training.losses.log_ratios import mean_logps

if TYPE_CHECKING:
    from torch import Tensor


def orpo(pairs: PairLogps, *, beta: Positive) -> "Tensor":
    """Return -A_w - beta * log sigmoid(logit(e^A_w) - logit(e^A_l)), A = log pi(y|x) / |y|: nats, shape B.

    Eq. 4 to 7 of ORPO (Hong et al., 2024), whose lambda is our beta. A_w is the mean over the pair's own response;
    TRL's first term is the mean over all tokens of a forward, including prompts.
    """
    from torch.nn.functional import logsigmoid

    chosen_B, rejected_B = mean_logps(pairs)
    return -chosen_B - beta * logsigmoid(_log_odds(chosen_B) - _log_odds(rejected_B))


def rewards(pairs: PairLogps, beta: float) -> tuple["Tensor", "Tensor"]:
    """Return the log-odds of both responses, without beta, which scales the contrast as a whole."""
    chosen_B, rejected_B = mean_logps(pairs)
    return _log_odds(chosen_B), _log_odds(rejected_B)


def _log_odds(logp_B: "Tensor") -> "Tensor":
    """Return logit(e^x) = x - log(1 - e^x), x < 0.

    In the second term, a log-prob that was rounded to 0 is replaced by the largest number below it.
    """
    import torch

    return logp_B - torch.log(-torch.expm1(logp_B.clamp(max=-torch.finfo(logp_B.dtype).eps)))
