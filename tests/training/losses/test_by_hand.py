"""Each loss on two pairs whose log-ratios are R_w = 2, -4 and R_l = -1, 0 nats, so margins of 3 and -4."""

import math
from typing import Any

import pytest
import torch

from apm_exp.core.types import MissingRewards, PairLogps
from apm_exp.training.losses.history import History
from apm_exp.training.objective import bind_loss
from tests.training.losses.nodes import NAMES, node

POLICY, REFERENCE = ([-10.0, -9.0], [-9.0, -6.0]), ([-12.0, -5.0], [-8.0, -6.0])
LENGTHS = ([5, 6], [4, 2])  # so A_w = -2, -1.5 and A_l = -2.25, -3 nats a token


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def softplus(x: float) -> float:
    """-log sigmoid(-x)."""
    return math.log(1 + math.exp(x))


def losses(batch: Any, name: str, history: History | None = None, margins: Any = None, **settings: Any) -> list[float]:
    pairs = batch(POLICY, REFERENCE, LENGTHS)
    given = PairLogps(**{**vars(pairs), "rewards_margin_B": None if margins is None else torch.tensor(margins)})
    return bind_loss(node(name, **settings), history or History())(given).tolist()


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("dpo", {"beta": 0.5}, [softplus(-1.5), softplus(2)]),
        ("cdpo", {"beta": 0.5, "label_smoothing": 0.1}, [softplus(-1.5) + 0.15, softplus(2) - 0.2]),
        ("robust", {"beta": 0.5, "label_smoothing": 0.25}, [softplus(-1.5) - 0.75, softplus(2) + 1.0]),
        ("hinge", {"beta": 0.25, "margin": 1.0}, [0.25, 2.0]),
        ("ipo", {"beta": 0.5}, [(2 / 5 + 1 / 4 - 1) ** 2, (-4 / 6 - 1) ** 2]),
        ("cpo", {"beta": 0.5, "sft_weight": 2.0}, [softplus(0.5) + 4.0, softplus(1.5) + 3.0]),
        ("sppo_hard", {"beta": 0.5}, [1.0, 26.0]),
        (
            "nca",
            {"beta": 0.5},
            [softplus(-1) + softplus(1) / 2 + softplus(-0.5) / 2, softplus(2) + softplus(-2) / 2 + softplus(0) / 2],
        ),
        ("bco", {"beta": 0.5, "reward_shift": False}, [softplus(-1) + softplus(-0.5), softplus(2) + softplus(0)]),
        ("apo_zero", {"beta": 0.5}, [sigmoid(-1) + sigmoid(-0.5), sigmoid(2) + 0.5]),
        ("apo_down", {"beta": 0.5}, [sigmoid(1) + sigmoid(-1.5), sigmoid(-2) + sigmoid(2)]),
        ("apo_hinge", {"beta": 0.5, "margin": 1.5}, [0.5 + 1.0, 3.5 + 1.5]),
        (
            "apo_hinge_softplus",
            {"beta": 0.5, "margin": 1.5, "temperature": 0.5},
            [0.5 * (softplus(1) + softplus(2)), 0.5 * (softplus(7) + softplus(3))],
        ),
        ("r_dpo", {"beta": 0.5, "length_penalty": 0.25}, [softplus(-1.75), softplus(1.0)]),
        (
            "discopop",
            {"beta": 0.5, "temperature": 0.5},
            [
                sigmoid(-3) * softplus(-1.5) + sigmoid(3) * math.exp(-1.5),
                sigmoid(4) * softplus(2) + sigmoid(-4) * math.exp(2),
            ],
        ),
        ("aot", {"beta": 0.5}, [softplus(-0.5), softplus(1.0)]),  # policy -3, -1 and reference -4, 1, each sorted
        ("aot_unpaired", {"beta": 0.5}, [softplus(1.5), softplus(-1.0)]),  # -4, 2 against -1, 0
        ("kto", {"beta": 0.5}, [(sigmoid(-1) + sigmoid(-0.5)) / 2, (sigmoid(2) + sigmoid(0)) / 2]),  # both drifts are 0
        ("simpo", {"beta": 2.0, "gamma_beta_ratio": 0.5, "form": "hinge", "sft_weight": 1.0}, [1.5 + 2.0, 0.0 + 1.5]),
    ],
)
def test_by_hand(batch, name, settings, expected):
    assert losses(batch, name, **settings) == pytest.approx(expected)


def test_orpo(batch):
    """The odds of e^-2 are 1 / (e^2 - 1)."""
    odds = [[1 / (math.exp(-a) - 1) for a in side] for side in ((-2.0, -1.5), (-2.25, -3.0))]
    expected = [a + 0.5 * math.log(1 + lost / won) for a, won, lost in zip((2.0, 1.5), *odds, strict=True)]
    assert losses(batch, "orpo", beta=0.5) == pytest.approx(expected)


def test_exo_is_a_reverse_kl(batch):
    policy = [sigmoid(1.5), sigmoid(-2.0)]
    expected = [p * math.log(p / 0.9) + (1 - p) * math.log((1 - p) / 0.1) for p in policy]
    assert losses(batch, "exo", beta=0.5, label_smoothing=0.1) == pytest.approx(expected)


def test_kto_measures_drift_on_the_other_side(batch):
    """R_w = 2, 4 and R_l = -1, 3: mean drifts of 3 and 1 nats."""
    pairs = batch(([-10.0, -1.0], [-9.0, -3.0]), ([-12.0, -5.0], [-8.0, -6.0]), LENGTHS)
    expected = [(sigmoid(1 - 2) + sigmoid(-1 - 3)) / 2, (sigmoid(1 - 4) + sigmoid(3 - 3)) / 2]
    assert bind_loss(node("kto", beta=1.0), History())(pairs).tolist() == pytest.approx(expected)


def test_bcos_shift_is_the_mean_reward_so_far(batch):
    """Rewards 1, -2, -0.5, 0: a mean of -0.375, which stays when the same pairs come again."""
    history = History()
    expected = [softplus(-1.375) + softplus(-0.125), softplus(1.625) + softplus(0.375)]
    for _ in range(2):
        assert losses(batch, "bco", history, beta=0.5, reward_shift=True) == pytest.approx(expected)
    assert history.averages["reward"] == (-3.0, 8)


@pytest.mark.parametrize(("epochs", "delta"), [(0.0, 0.0), (1.0, 0.25), (5.0, 0.5)])
def test_margin_sigmoids_delta_rises_over_its_epochs(batch, epochs, delta):
    history = History(epochs=epochs)
    settings = {"beta": 0.5, "delta": 0.5, "label_smoothing": 0.1, "curriculum_epochs": 2.0}
    terms = [(softplus(-1.5), softplus(1.5)), (softplus(2), softplus(-2))]
    expected = [0.9 * max(0, right - delta) + 0.1 * max(0, wrong - delta) for right, wrong in terms]
    assert losses(batch, "margin_sigmoid", history, **settings) == pytest.approx(expected)


def test_alpha_dpos_margin_follows_the_standardized_reward(batch):
    """g = 2/5 + 1/4 and -4/6: two values are one over the root of 2 standard deviations from their mean."""
    z = 1 / math.sqrt(2)
    expected = [softplus(-2 * (0.25 - 0.5 - 0.4 * z)), softplus(-2 * (1.5 - 0.5 + 0.4 * z))]
    settings = {"beta": 2.0, "gamma_beta_ratio": 0.5, "alpha": 0.4}
    assert losses(batch, "alpha_dpo", **settings) == pytest.approx(expected)


def test_alpha_dpo_as_released_begins_with_averages_near_zero(batch):
    mean, spread = (0.65 - 2 / 3) / 2, (0.65 + 2 / 3) / math.sqrt(2)
    z = [(g - 0.1 * mean) / (0.1 * spread) for g in (0.65, -2 / 3)]
    expected = [softplus(-2 * (a - 0.5 - 0.4 * one)) for a, one in zip((0.25, 1.5), z, strict=True)]
    settings = {"beta": 2.0, "gamma_beta_ratio": 0.5, "alpha": 0.4, "bias_corrected": False}
    assert losses(batch, "alpha_dpo", **settings) == pytest.approx(expected)


def test_alpha_dpo_of_the_starting_policy_is_simpo(batch):
    pairs = batch(REFERENCE, REFERENCE, LENGTHS)
    ours, simpo = node("alpha_dpo", beta=2.0, gamma_beta_ratio=0.5), node("simpo", beta=2.0, gamma_beta_ratio=0.5)
    assert bind_loss(ours, History())(pairs).tolist() == bind_loss(simpo, History())(pairs).tolist()


def test_beta_dpo_moves_beta_with_the_margins_of_the_batch(batch):
    """Nothing dropped; the mean margin is -0.5, then -0.5 against a running mean of -0.5: beta stays."""
    settings = {"beta": 0.5, "beta_slope": 0.5, "drop_fraction": 0.0}
    assert losses(batch, "beta_dpo", **settings) == pytest.approx([softplus(-1.5), softplus(2)])
    released = losses(batch, "beta_dpo", **settings, bias_corrected=False)  # against -0.05
    beta = 0.5 * (1 + 0.5 * (-0.5 + 0.05))
    assert released == pytest.approx([softplus(-3 * beta), softplus(4 * beta)])


def test_beta_dpo_drops_the_decimal_fraction_that_was_typed(batch):
    """8 of 10, where 10 * (1 - 0.8) is 1.9999999999999996."""
    side, zero, ones = [float(index) for index in range(1, 11)], [0.0] * 10, [1] * 10
    loss_B = bind_loss(node("beta_dpo", drop_fraction=0.8), History())(batch((side, zero), (zero, zero), (ones, ones)))
    assert (loss_B == 0).sum() == 8


def test_beta_dpo_leaves_out_unusual_margins_more_often(batch):
    """Of five pairs one is dropped; the odd one is 1.8 deviations away, the others 0.4."""
    side, zero, ones = [0.0, 1.0, 0.5, 1.0, 20.0], [0.0] * 5, [1] * 5
    history, dropped = History(seed=3), [0] * 5
    for _ in range(300):
        pairs = batch((side, zero), (zero, zero), (ones, ones))
        loss_B = bind_loss(node("beta_dpo", drop_fraction=0.2, beta_slope=0.0), history)(pairs).tolist()
        assert loss_B.count(0.0) == 1
        dropped[loss_B.index(0.0)] += 1
        kept = [index for index in range(5) if loss_B[index]]
        assert loss_B[kept[0]] == pytest.approx(1.25 * softplus(-0.1 * side[kept[0]]))  # scaled: 4 of 5 are left
    assert dropped[4] > 2 * max(dropped[:4])


def test_odpo_and_weights_use_the_explicit_margin(batch):
    margins = [math.e, 1.0]
    assert losses(batch, "odpo", margins=margins, beta=0.5, alpha=2.0) == pytest.approx([softplus(0.5), softplus(2)])
    linear = losses(batch, "odpo", margins=[1.0, -1.0], beta=0.5, alpha=2.0, scale="linear")
    assert linear == pytest.approx([softplus(0.5), softplus(0)])
    weighted = losses(batch, "reward_weighted_dpo", margins=[1.0, -1.0], beta=0.5, unit_margin=4.0)
    assert weighted == pytest.approx([softplus(-1.5) / 4, 0.0])


@pytest.mark.parametrize("name", ["odpo", "reward_weighted_dpo"])
def test_losses_that_need_rewards_say_so(batch, name):
    with pytest.raises(MissingRewards, match="needs rewards"):
        losses(batch, name)


def test_odpos_logarithm_wants_positive_margins(batch):
    with pytest.raises(ValueError, match=r"loss\.scale=log: 1 chosen rewards .* set loss\.scale=linear"):
        losses(batch, "odpo", margins=[1.0, 0.0])


def test_simpos_hinge_has_no_label_smoothing(batch):
    with pytest.raises(ValueError, match=r"loss\.label_smoothing=0\.1: the hinge form has none"):
        losses(batch, "simpo", form="hinge", label_smoothing=0.1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_loss_stays_finite_far_away(batch, name, dtype):
    """A hundred nats a token either way."""
    pairs = batch(([-1.0, -400.0], [-400.0, -1.0]), ([-200.0, -200.0], [-200.0, -200.0]), ([4, 4], [4, 4]), dtype)
    given = PairLogps(**{**vars(pairs), "rewards_margin_B": torch.tensor([2.0, 0.5], dtype=dtype)})
    loss_B = bind_loss(node(name), History())(given)
    loss_B.sum().backward()
    assert loss_B.dtype == dtype
    for result in (loss_B, pairs.chosen_logp_B.grad, pairs.rejected_logp_B.grad):
        assert torch.isfinite(result).all()
