import torch

from apm_exp.training.implicit_reward import implicit_rewards
from apm_exp.types import PairLogps

PAIR = PairLogps(*(torch.tensor([v]) for v in (-6.0, -8.0, -7.0, -5.0)), torch.tensor([3]), torch.tensor([2]))


def test_rewards_by_hand():
    """beta 2: log-ratios 1 and -3; log-probs per token -2 and -4."""
    with_reference = implicit_rewards(PAIR, beta=2.0, with_reference=True)
    without = implicit_rewards(PAIR, beta=2.0, with_reference=False)
    assert [reward.item() for reward in with_reference] == [2.0, -6.0]
    assert [reward.item() for reward in without] == [-4.0, -8.0]
