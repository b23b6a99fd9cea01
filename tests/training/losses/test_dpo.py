import math

import pytest
import torch

from apm_exp.training.losses.dpo import dpo

LENGTHS = ([5, 7], [4, 2])


def test_by_hand(batch):
    # log-ratios 2 and -1, so a margin of 3; and -4 and 0, so a margin of -4
    pairs = batch(([-10.0, -9.0], [-9.0, -6.0]), ([-12.0, -5.0], [-8.0, -6.0]), LENGTHS)
    expected = [math.log(1 + math.exp(-1.5)), math.log(1 + math.exp(2.0))]
    assert dpo(pairs, beta=0.5).tolist() == pytest.approx(expected)
    assert expected == pytest.approx([0.2014133, 2.1269280])


def test_the_starting_policy_has_loss_log_two(batch):
    same = ([-10.0, -3.0], [-90.0, -4.0])
    assert dpo(batch(same, same, LENGTHS), beta=0.1).tolist() == pytest.approx([math.log(2)] * 2)


def test_gradient_by_hand(batch):
    # d loss / d chosen = -beta * sigmoid(-beta * margin), and the opposite for the rejected one
    pairs = batch(([-10.0], [-9.0]), ([-12.0], [-8.0]), ([5], [4]))
    dpo(pairs, beta=0.5).sum().backward()
    slope = 0.5 / (1 + math.exp(1.5))
    assert pairs.chosen_logp_B.grad.tolist() == pytest.approx([-slope])
    assert pairs.rejected_logp_B.grad.tolist() == pytest.approx([slope])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_margins_stay_finite(batch, dtype):
    pairs = batch(([-1e6, 0.0], [0.0, -1e6]), ([0.0, 0.0], [0.0, 0.0]), LENGTHS, dtype)
    loss_B = dpo(pairs, beta=1.0)
    loss_B.sum().backward()
    assert loss_B.tolist() == [1e6, 0.0]
    assert loss_B.dtype == dtype
    assert pairs.chosen_logp_B.grad.tolist() == [-1.0, 0.0]
    assert pairs.rejected_logp_B.grad.tolist() == [1.0, 0.0]


def test_lengths_are_not_looked_at(batch):
    sides = ([-10.0, -9.0], [-9.0, -6.0]), ([-12.0, -5.0], [-8.0, -6.0])
    one, other = batch(*sides, LENGTHS), batch(*sides, ([1, 1], [900, 3]))
    assert dpo(one, beta=0.5).tolist() == dpo(other, beta=0.5).tolist()
