"""What is wrong with an adapter is one line, before any work."""

import importlib.util
import subprocess
import sys

import pytest

from apm_exp.core import component
from apm_exp.training.adapters import preflight
from apm_exp.training.adapters.preflight import adapter_name, adapter_of, check_adapter
from tests.training.adapters.nodes import adapter
from tests.training.cases import deepspeed, runtime, trainer


def checked(node, **changes):
    check_adapter(node, **{"trainer": trainer(), "runtime": runtime(), "deepspeed": None, **changes})


def without(monkeypatch, missing):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else found(name))


def on_a_gpu(monkeypatch, *, bitsandbytes):
    monkeypatch.setattr(preflight, "pick_device", lambda runtime: "cuda")
    found = importlib.util.find_spec
    there = importlib.util.find_spec("peft") if bitsandbytes else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: there if name == "bitsandbytes" else found(name))


def test_none_is_checked_by_nothing(monkeypatch):
    without(monkeypatch, "peft")
    checked(None)
    checked({})
    assert adapter_of({}) is None
    assert adapter_name({}) is None


def test_what_peft_and_bitsandbytes_are_given():
    lora = adapter_of(adapter("lora", rank=4, alpha=8.0))
    shared = {"r": 4, "lora_alpha": 8.0, "lora_dropout": 0.0, "target_modules": "all-linear"}
    assert lora.lora == {**shared, "bias": "none", "task_type": "CAUSAL_LM"}
    assert lora.quantization is None
    assert lora.precision is None
    qlora = adapter_of(adapter("qlora", rank=4, alpha=8.0))
    assert qlora.lora == lora.lora
    assert qlora.precision == "nf4"
    four_bits = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    assert qlora.quantization == four_bits


def test_lora_without_peft(monkeypatch):
    checked(adapter("lora"))
    without(monkeypatch, "peft")
    with pytest.raises(ValueError, match=r"^model.adapter=lora: peft is not installed; .* pip install -e '.'$"):
        checked(adapter("lora"))


def test_qlora_without_a_gpu():
    with pytest.raises(ValueError, match=r"^model.adapter=qlora: 4-bit .* CUDA GPU.*; use model.adapter=lora$"):
        checked(adapter("qlora"))


def test_qlora_without_bitsandbytes(monkeypatch):
    on_a_gpu(monkeypatch, bitsandbytes=False)
    message = r"^model.adapter=qlora: bitsandbytes is not installed; .*: pip install -e '.\[qlora\]'$"
    with pytest.raises(ValueError, match=message):
        checked(adapter("qlora"))


def test_a_plan_for_another_machine_needs_no_gpu_and_no_bitsandbytes(monkeypatch):
    without(monkeypatch, "bitsandbytes")
    checked(adapter("qlora"), runtime=runtime() | {"plan_for": "h100"})
    with pytest.raises(ValueError, match="ZeRO-3 cannot shard"):
        checked(adapter("qlora"), runtime=runtime() | {"plan_for": "h100"}, deepspeed=deepspeed("zero3"))


def test_qlora_under_zero3(monkeypatch):
    on_a_gpu(monkeypatch, bitsandbytes=True)
    checked(adapter("qlora"), deepspeed=deepspeed("zero2"))
    checked(adapter("lora"), deepspeed=deepspeed("zero3"))
    with pytest.raises(ValueError, match=r"^model.adapter=qlora: ZeRO-3 .*; use deepspeed=zero2, or "):
        checked(adapter("qlora"), deepspeed=deepspeed("zero3"))


def test_trls_trainers_have_none():
    with pytest.raises(ValueError, match=r"^model.adapter=lora: trainer=trl trains all weights .*; use trainer=pairs$"):
        checked(adapter("lora"), trainer=trainer(implementation="trl"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": 0}, "^model.adapter.rank=0: input should be greater than 0"),
        ({"dropout": 1.0}, "^model.adapter.dropout=1.0: input should be less than 1"),
        ({"target_modules": []}, "^model.adapter.target_modules="),
        ({"rnak": 8}, "^model.adapter.rnak=8: no such setting; did you mean 'rank'"),
    ],
)
def test_settings_are_checked_by_the_signature(changes, message):
    with pytest.raises(ValueError, match=message):
        component.bind("model.adapter", adapter("lora", **changes))


def test_a_check_imports_no_large_library():
    code = f"""
import sys
from apm_exp.training.adapters.preflight import check_adapter
check_adapter({adapter("lora")}, trainer={trainer()}, runtime={runtime()}, deepspeed=None)
assert not {{"torch", "transformers", "peft"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
