import torch

from apm_exp import component
from apm_exp.training.implicit_reward import implicit_rewards, reads_reference
from apm_exp.types import PairLogps
from tests.training.cases import DPO, SIMPO

PAIR = PairLogps(*(torch.tensor([v]) for v in (-6.0, -8.0, -7.0, -5.0)), torch.tensor([3]), torch.tensor([2]))


def test_a_loss_shows_whether_it_reads_the_reference():
    assert reads_reference(component.bind("loss", DPO))
    assert not reads_reference(component.bind("loss", SIMPO))


def test_rewards_by_hand():
    """beta 2: log-ratios 1 and -3; log-probs per token -2 and -4."""
    with_reference = implicit_rewards(PAIR, beta=2.0, with_reference=True)
    without = implicit_rewards(PAIR, beta=2.0, with_reference=False)
    assert [reward.item() for reward in with_reference] == [2.0, -6.0]
    assert [reward.item() for reward in without] == [-4.0, -8.0]
