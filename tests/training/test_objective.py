import pytest
import torch

from apm_exp.core.component import trust
from apm_exp.core.types import MissingRewards, TokenizedPair
from apm_exp.training.objective import check_numbers, check_objective
from apm_exp.training.pair_dataset import TrainingPair
from tests.training.losses.nodes import NAMES, node


def pair(index: int, chosen_logp: float, margin: float | None) -> TrainingPair:
    return TrainingPair(index, TokenizedPair([1], [2, 3], [4]), chosen_logp, -2.0, margin)


def test_a_loss_that_needs_rewards_is_refused_before_a_model_is_loaded():
    with pytest.raises(MissingRewards, match=r"loss\._target_=.*odpo: this loss needs rewards, .* or loss="):
        check_objective(node("odpo"), [pair(0, -3.0, 1.0), pair(1, -3.0, None)], ["a", "b"])


def test_a_pair_whose_loss_is_not_finite_is_named():
    with pytest.raises(ValueError, match="not finite at optimizer step 0 for pairs b"):
        check_objective(node("cpo"), [pair(0, -3.0, None), pair(1, float("-inf"), None)], ["a", "b"])


def mean_loss(pairs):
    return torch.zeros(len(pairs.chosen_logp_B)).mean()


def test_a_loss_that_is_not_one_a_pair_is_refused():
    trust(["tests"])
    with pytest.raises(ValueError, match=r"mean_loss: returns shape \(\) for 2 pairs; return one loss per pair"):
        check_numbers({"_target_": f"{__name__}.mean_loss"})


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_numbers_are_fit_for_an_ordinary_pair(name):
    check_numbers(node(name))


def test_a_number_that_makes_every_loss_infinite_is_refused():
    with pytest.raises(ValueError, match=r"^loss.beta=1e\+300 .*: the loss of a typical pair is not finite; "):
        check_numbers(node("dpo") | {"beta": 1e300})
