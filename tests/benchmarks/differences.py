"""How far two methods' numbers are apart."""

from collections.abc import Sequence

import torch
from torch import Tensor

from apm_exp.core.types import TokenizedPair


def per_token_difference(logps_P2: Tensor, other_P2: Tensor, pairs: Sequence[TokenizedPair]) -> float:
    """The largest difference of an answer's mean token log-prob, nats a token."""
    length_P2 = torch.tensor([[len(pair.chosen_ids), len(pair.rejected_ids)] for pair in pairs])
    return ((logps_P2 - other_P2).abs() / length_P2).max().item()


def gradient_difference(gradients: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """The norm of the difference of two gradients over all parameters, relative to the norm of the second."""
    both = list(zip(gradients, others, strict=True))
    apart = sum((one.double() - other.double()).square().sum().item() for one, other in both)
    return float((apart / sum(other.double().square().sum().item() for _, other in both)) ** 0.5)
