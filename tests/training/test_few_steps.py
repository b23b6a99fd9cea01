import logging
from math import ceil

import pytest
import torch
from safetensors.torch import save_file

from apm_exp.training.few_steps import enough_steps, few_steps, little_moved, say_few_steps
from apm_exp.training.moved import share_moved

ONE = {"processes": 1, "pairs_per_device": 1}


def settings(batch=128, epochs=1, rate=5e-7, adapter=None, args=None, runtime=ONE):
    trainer = {"global_batch": batch, "epochs": epochs, "learning_rate": rate, "args": args or {}}
    return {"trainer": trainer, "adapter": adapter, "runtime": runtime}


def counts(pairs, batch=128, epochs=1):
    return {"pairs": pairs, "optimizer_steps": epochs * ceil(pairs / batch)}


def test_a_training_of_few_steps_is_told_with_the_batch_and_the_rate_that_would_do():
    assert few_steps(counts(120), settings()) == (
        "trainer.global_batch=128: 120 pairs make 1 optimizer step, and fewer than 20 change the policy little; "
        "take trainer.global_batch=6 trainer.learning_rate=2e-06"
    )
    assert few_steps(counts(8), settings()) == (
        "trainer.global_batch=128: 8 pairs make 1 optimizer step, and fewer than 20 change the policy little; "
        "take trainer.global_batch=1 trainer.epochs=3 trainer.learning_rate=2e-06"
    )
    assert few_steps(counts(120), settings(adapter={"rank": 8})).endswith("take trainer.global_batch=6")
    assert few_steps(counts(120), settings(rate=1e-3)).endswith("take trainer.global_batch=6")


def test_enough_steps_or_a_number_that_was_asked_for_are_not_told():
    assert few_steps(counts(128 * 19 + 1), settings()) is None
    assert few_steps(counts(128 * 19), settings()) is not None
    assert few_steps(counts(8), settings(args={"max_steps": 1})) is None
    assert few_steps({}, settings()) is None  # nothing is known yet


@pytest.mark.parametrize(
    "runtime", [ONE, {"processes": 2, "pairs_per_device": 4}, {"processes": 1, "pairs_per_device": 8}]
)
@pytest.mark.parametrize("epochs", [1, 3, 30])
@pytest.mark.parametrize("pairs", [40, 41, 333, 2000])
def test_the_batch_makes_enough_steps_and_can_be_divided(pairs, epochs, runtime):
    batch = enough_steps(pairs, epochs, runtime)
    share, rest = divmod(batch, runtime["processes"])
    assert rest == 0
    assert share > 0
    assert share % min(share, runtime["pairs_per_device"]) == 0
    assert epochs * ceil(pairs / batch) >= 20


def test_it_is_said_once_and_as_a_bound_until_it_is_exact(caplog):
    with caplog.at_level(logging.WARNING):
        say_few_steps("a", counts(120), settings(), exact=False)
        say_few_steps("a", counts(100), settings(), exact=True)
        say_few_steps("b", counts(100), settings(), exact=True)
    assert [record.getMessage().partition(" make")[0] for record in caplog.records] == [
        "trainer.global_batch=128: at most 120 pairs",
        "trainer.global_batch=128: 100 pairs",
    ]


def test_the_share_of_weights_that_moved_is_counted_in_the_precision_of_the_file(tmp_path):
    start, final = tmp_path / "start", tmp_path / "final"
    for folder, change in ((start, 0.0), (final, 1e-5)):
        folder.mkdir()
        weights = {"coarse": torch.ones(6) + change, "fine": torch.zeros(3) + change, "same": torch.ones(1)}
        dtype = torch.float32 if folder is start else torch.bfloat16
        save_file({name: each.to(dtype) for name, each in weights.items()}, folder / "model.safetensors")
    assert share_moved(start, final) == 0.3  # bfloat16 shows 1e-5 beside 0, not beside 1
    assert share_moved(tmp_path, final) is None
    assert share_moved(start, start) == 0.0


def test_weights_that_are_saved_as_they_were_are_told():
    assert little_moved({"moved": 0.0021}) == (
        "trainer.learning_rate: only 0.21% of the saved weights differ from the starting policy's, the others moved by "
        "less than their precision shows; raise it, or take more optimizer steps (a smaller trainer.global_batch, more "
        "trainer.epochs)"
    )
    assert little_moved({"moved": 0.4}) is None
    assert little_moved({}) is None
