import math

import pytest
import torch

from apm_exp.core.types import PairLogps
from apm_exp.training.implicit_reward import implicit_rewards
from tests.training.losses.nodes import node

PAIR = PairLogps(*(torch.tensor([v]) for v in (-6.0, -8.0, -7.0, -5.0)), torch.tensor([3]), torch.tensor([2]))


@pytest.mark.parametrize(
    ("loss", "with_reference", "expected"),
    [
        ("dpo", True, [2.0, -6.0]),
        ("simpo", False, [-4.0, -8.0]),
        ("alpha_dpo", True, [-4.0, -8.0]),
        ("ipo", True, [2 / 3, -3.0]),
        ("cpo", False, [-12.0, -16.0]),
        ("orpo", False, [-2 - math.log(1 - math.exp(-2)), -4 - math.log(1 - math.exp(-4))]),
    ],
)
def test_rewards_by_hand(loss: str, with_reference: bool, expected: list[float]) -> None:
    """beta 2: log-ratios 1 and -3, of 3 and 2 tokens; log-probs -6 and -8, per token -2 and -4."""
    rewards = implicit_rewards(node(loss, beta=2.0), with_reference=with_reference)(PAIR)
    assert [reward.item() for reward in rewards] == pytest.approx(expected)
