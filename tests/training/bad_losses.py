"""Losses that go wrong in the middle of a training."""

import torch

from apm_exp.types import PairLogps


def not_a_number(pairs: PairLogps) -> torch.Tensor:
    """NaN for responses of one token."""
    return torch.where(pairs.chosen_len_B == 1, torch.nan, pairs.chosen_logp_B)


def endless_slope(pairs: PairLogps) -> torch.Tensor:
    """0 everywhere, with an infinite slope."""
    return torch.sqrt((pairs.chosen_logp_B - pairs.chosen_logp_B.detach()).abs())
