import re
from dataclasses import replace
from math import nan

import pyarrow as pa
import pytest
import torch
from torch.nn.functional import dropout
from transformers import LlamaForCausalLM

from apm_exp.core import component
from apm_exp.core.types import PairLogps
from apm_exp.models.load import load_model
from apm_exp.training import load_model as model_for_training
from apm_exp.training import trainer as trainer_module
from apm_exp.training.callbacks.guards import check_loss, difference_from_stored, first_step_problem
from tests.training.cases import task, trained


@pytest.fixture
def _trust_tests(monkeypatch):
    monkeypatch.setattr(component, "_trusted_packages", {"apm_exp", "tests"})


def first_step(chosen: float, length: int) -> PairLogps:
    zero, lengths = torch.zeros(2), torch.tensor([20, length])
    return PairLogps(torch.tensor([0.0, chosen]), zero, zero, zero, lengths, lengths)


@pytest.mark.parametrize(("off", "length"), [(9e-5 * 20, 20), (1e-4 * 16, 1), (0.0, 5)])
def test_rounding_is_no_difference(off, length):
    assert difference_from_stored(first_step(off, length), "float32").max() <= 1.001


@pytest.mark.parametrize(("off", "length"), [(0.02 * 2000, 2000), (0.02 * 1024, 1024), (0.04 * 256, 256), (0.64, 1)])
def test_rounding_in_16_bits_adds_up_with_the_root_of_the_number_of_tokens(off, length):
    for sign in (1, -1):
        assert difference_from_stored(first_step(sign * 0.999 * off, length), "bfloat16").max() <= 1
        assert difference_from_stored(first_step(sign * 1.001 * off, length), "bfloat16").max() > 1


@pytest.mark.parametrize(
    ("again", "padded", "message"),
    [
        (0.5, 0.5, r"^rebuild=logps: .* log-prob of b differs .* by 250 times what rounding .*; rebuild them$"),
        (0.5, 0.0, r"^model.attention=auto: .*does not support shared prompts; set model.attention=eager$"),
        (0.1, 0.0, r"^model.path: .* and a second forward differs by 200 times: .* random .*; use a model without it$"),
    ],
)
def test_each_cause_has_its_own_cure(again, padded, message):
    """0.5 nats in 20 tokens; the same again or not; and gone in padded rows or not."""
    given = (first_step(off, 20) for off in (0.5, again, padded))
    assert re.match(message, first_step_problem(*given, "float32", "b"))


class Drops(LlamaForCausalLM):
    """A model whose noise has no name and cannot be found."""

    def forward(self, *given, **named):
        out = super().forward(*given, **named)
        out.logits = dropout(out.logits, 0.5, self.training)
        return out


def test_noise_that_stays_in_training_is_told(tmp_path, tiny_policy, scored, monkeypatch):
    def load(*given, **named):
        model = load_model(*given, **named)
        model.__class__ = Drops
        return model

    monkeypatch.setattr(model_for_training, "load_model", load)
    with pytest.raises(
        ValueError, match=r"^model.path: before the first step .* the model is random when it is trained"
    ):
        trained(task(tmp_path, replace(tiny_policy, attention="eager"), scored))


@pytest.mark.parametrize("off", [2.9, nan])  # 0.145 nats per token
def test_another_policy_than_the_scored_one_is_an_error(off):
    assert not difference_from_stored(first_step(off, 20), "bfloat16").max() <= 1


def test_a_loss_that_is_not_finite_names_its_pairs():
    check_loss(torch.tensor([1.0, 2.0]), 3, ["a", "b"])
    with pytest.raises(ValueError, match=r"not finite at optimizer step 3 for pairs b, c;"):
        check_loss(torch.tensor([1.0, torch.nan, torch.inf]), 3, ["a", "b", "c"])


def test_stored_log_probs_of_another_policy_stop_the_training(tmp_path, tiny_policy, scored):
    column = scored.schema.get_field_index("chosen_logp")
    moved = scored.set_column(column, "chosen_logp", pa.array(scored["chosen_logp"].to_numpy() - 0.01))
    with pytest.raises(ValueError, match=r"^rebuild=logps: before the first step .* p\d\d differs"):
        trained(task(tmp_path, tiny_policy, moved))
    assert not (tmp_path / "final").exists()


@pytest.mark.usefixtures("_trust_tests")
def test_a_loss_that_becomes_nan_stops_the_training_with_step_and_pairs(tmp_path, tiny_policy, scored):
    loss = {"_target_": "tests.training.bad_losses.not_a_number"}
    with pytest.raises(ValueError, match=r"the loss is not finite at optimizer step \d for pairs p00;"):
        trained(task(tmp_path, tiny_policy, scored, loss=loss))


@pytest.mark.usefixtures("_trust_tests")
def test_a_gradient_that_is_not_finite_stops_the_training_before_the_step(tmp_path, tiny_policy, scored):
    loss = {"_target_": "tests.training.bad_losses.endless_slope"}
    with pytest.raises(
        ValueError, match=r"the gradient is not finite at optimizer step 1 for pairs (p\d\d, ){3}p\d\d;"
    ):
        trained(task(tmp_path, tiny_policy, scored, loss=loss))


def test_out_of_memory_names_the_setting_and_the_pairs(tmp_path, tiny_policy, scored, monkeypatch):
    def full(*given):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(trainer_module, "pair_forward", full)
    with pytest.raises(
        ValueError, match=r"^runtime.pairs_per_device=4: out of memory at optimizer step 1 with pairs p.*=2"
    ):
        trained(task(tmp_path, tiny_policy, scored))


def test_a_training_that_ends_early_is_not_done(tmp_path, tiny_policy, scored, monkeypatch):
    def interrupted(self, **given):
        self.state.max_steps, self.state.global_step = 3, 2

    monkeypatch.setattr(trainer_module.PairTrainer, "train", interrupted)
    with pytest.raises(AssertionError, match="stopped at optimizer step 2 of 3"):
        trained(task(tmp_path, tiny_policy, scored))
