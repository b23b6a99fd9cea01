import math

import pytest
import torch

from apm_exp.training.losses.simpo import simpo

NO_REFERENCE = ([0.0, 0.0], [0.0, 0.0])


def test_by_hand(batch):
    # -10/5 - -12/4 = 1, and -6/3 - -2/2 = -1 nats per token; minus the ratio 0.5; times beta 2
    pairs = batch(([-10.0, -6.0], [-12.0, -2.0]), NO_REFERENCE, ([5, 3], [4, 2]))
    expected = [math.log(1 + math.exp(-1.0)), math.log(1 + math.exp(3.0))]
    assert simpo(pairs, beta=2.0, gamma_beta_ratio=0.5).tolist() == pytest.approx(expected)
    assert expected == pytest.approx([0.3132617, 3.0485874])


def test_the_target_margin_is_in_nats_per_token(batch):
    pairs = batch(([-10.0], [-12.0]), ([0.0], [0.0]), ([5], [4]))
    for beta in (0.5, 10.0):
        assert simpo(pairs, beta=beta, gamma_beta_ratio=1.0).tolist() == pytest.approx([math.log(2)])


def test_gradient_by_hand(batch):
    # d loss / d chosen = -beta / |y_w| * sigmoid(-beta * (margin - ratio)), and the opposite for the rejected one
    pairs = batch(([-10.0], [-12.0]), ([0.0], [0.0]), ([5], [4]))
    simpo(pairs, beta=2.0, gamma_beta_ratio=0.5).sum().backward()
    slope = 2.0 / (1 + math.exp(1.0))
    assert pairs.chosen_logp_B.grad.tolist() == pytest.approx([-slope / 5])
    assert pairs.rejected_logp_B.grad.tolist() == pytest.approx([slope / 4])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_margins_stay_finite(batch, dtype):
    pairs = batch(([-1e6, 0.0], [0.0, -1e6]), NO_REFERENCE, ([1, 1], [1, 1]), dtype)
    loss_B = simpo(pairs, beta=10.0, gamma_beta_ratio=0.0)
    loss_B.sum().backward()
    assert loss_B.tolist() == [1e7, 0.0]
    assert loss_B.dtype == dtype
    assert pairs.chosen_logp_B.grad.tolist() == [-10.0, 0.0]
    assert pairs.rejected_logp_B.grad.tolist() == [10.0, 0.0]


def test_the_reference_is_not_looked_at(batch):
    policy, lengths = ([-10.0, -6.0], [-12.0, -2.0]), ([5, 3], [4, 2])
    one, other = (batch(policy, stored, lengths) for stored in (NO_REFERENCE, ([-1.0, 5.0], [9.0, -3.0])))
    losses = [simpo(pairs, beta=2.0, gamma_beta_ratio=0.5).tolist() for pairs in (one, other)]
    assert losses[0] == losses[1]
