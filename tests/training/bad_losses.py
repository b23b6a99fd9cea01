"""Losses that go wrong in the middle of a training."""

import os
import signal
from pathlib import Path

import torch

from apm_exp.core.types import PairLogps
from apm_exp.training.losses.dpo import dpo
from apm_exp.training.losses.history import History


def not_a_number(pairs: PairLogps) -> torch.Tensor:
    """NaN for responses of one token."""
    return torch.where(pairs.chosen_len_B == 1, torch.nan, pairs.chosen_logp_B)


def endless_slope(pairs: PairLogps) -> torch.Tensor:
    """0 everywhere, with an infinite slope."""
    return torch.sqrt((pairs.chosen_logp_B - pairs.chosen_logp_B.detach()).abs())


def dpo_with_a_death(pairs: PairLogps, history: History, *, beta: float, fuse: str) -> torch.Tensor:
    """DPO; after three epochs the second process kills itself if there is such a file, which goes first."""
    if history.epochs >= 3 and os.environ.get("RANK") == "1" and Path(fuse).exists():
        Path(fuse).unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return dpo(pairs, beta=beta)
