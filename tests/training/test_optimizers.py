import importlib.util

import pytest
from transformers.trainer_optimizer import _BITSANDBYTES_OPTIMIZERS
from transformers.training_args import OptimizerNames

from apm_exp.training.optimizers import check_optimizer, package_of
from tests.training.cases import task, trained


def test_transformers_own_list_says_which_need_bitsandbytes():
    needing = {item.value for item in OptimizerNames if package_of(item.value)[0] == "bitsandbytes"}
    assert needing == {item.value for item in _BITSANDBYTES_OPTIMIZERS}


def test_a_missing_package_is_one_line_and_an_installed_one_passes(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"^trainer.optimizer=paged_adamw_8bit: needs bitsandbytes, .*\.\[8bit\]"):
        check_optimizer("paged_adamw_8bit")
    check_optimizer("paged_adamw_8bit", elsewhere=True)
    for name in ("adamw_torch", "adamw_torch_fused", "adafactor", "sgd"):
        check_optimizer(name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    for item in OptimizerNames:
        check_optimizer(item.value)


@pytest.mark.parametrize("name", ["adamw_torch_fused", "adafactor"])
def test_another_optimizer_trains(name, tmp_path, tiny_policy, scored):
    rows = trained(task(tmp_path, tiny_policy, scored), optimizer=name, epochs=2, warmup_ratio=0.0)
    assert rows[-1]["loss"] < rows[0]["loss"]
