"""Which losses look at several pairs together: their files say so, and a training's key depends on it."""

from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
import torch

from apm_exp.training.losses.history import History
from apm_exp.training.objective import bind_loss
from tests.training.losses.nodes import NAMES, node


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_whose_pairs_depend_on_each_other_says_so(batch: Any, name: str) -> None:
    """Two pairs alone have the losses that they have among four, unless ACROSS_PAIRS is there."""
    policy = ([-3.0, -6.0, -2.0, -9.0], [-5.0, -4.0, -8.0, -7.0])
    reference = ([-4.0, -5.0, -6.0, -7.0], [-4.0, -6.0, -5.0, -8.0])
    lengths = ([3, 4, 5, 6], [4, 3, 6, 5])
    margin_B = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
    four = replace(batch(policy, reference, lengths), rewards_margin_B=margin_B)
    two = batch(*([side[:2] for side in sides] for sides in (policy, reference, lengths)))
    two = replace(two, rewards_margin_B=margin_B[:2])
    among, alone = (bind_loss(node(name), History())(pairs) for pairs in (four, two))
    across = getattr(import_module(node(name)["_target_"].rpartition(".")[0]), "ACROSS_PAIRS", None)
    assert torch.allclose(alone, among[:2], atol=1e-12) == (across is None)
