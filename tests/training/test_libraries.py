"""What transformers, torch and DeepSpeed refuse of a training is known before any work, as one line."""

import importlib.util
import os
from typing import Any

import pytest

from apm_exp.training.libraries import ask_libraries
from apm_exp.training.preflight import needs_asking
from tests.training.cases import deepspeed, trainer

RUNTIME = {"nodes": 1, "processes": 1, "pairs_per_device": 2, "device": "cpu"}
KWARGS = "set its own settings as '+trainer.args.lr_scheduler_kwargs={NAME: VALUE}'"


def ask(changes: dict[str, Any], args: dict[str, Any], zero: dict[str, Any] | None = None, processes: int = 1) -> None:
    node = trainer(**changes, args=args, global_batch=4 * processes)
    assert needs_asking(node, zero)
    ask_libraries(node, RUNTIME | {"processes": processes}, zero, "float32")


def test_an_optimizer_of_another_machine_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apm_exp.training.libraries.lacking_package", lambda name: ("bitsandbytes", name))
    ask({"optimizer": "paged_adamw_8bit"}, {})


@pytest.mark.parametrize(
    ("changes", "args", "message"),
    [
        (
            {"lr_scheduler": "cosine_with_min_lr"},
            {},
            "trainer.lr_scheduler=cosine_with_min_lr: One of min_lr or min_lr_",
        ),
        ({"lr_scheduler": "warmup_stable_decay"}, {}, "trainer.lr_scheduler=warmup_stable_decay: .*'num_decay_steps'"),
        (
            {"lr_scheduler": "warmup_stable_decay"},
            {"lr_scheduler_kwargs": {"num_decay_steps": "abc"}},
            "trainer.lr_scheduler=warmup_stable_decay: unsupported operand",
        ),
        ({"lr_scheduler": "polynomial", "learning_rate": 1e-8}, {}, "trainer.lr_scheduler=polynomial: lr_end"),
        ({"lr_scheduler": "cosine_with_restarts"}, {"lr_scheduler_kwargs": {"num_cycles": "abc"}}, "could not convert"),
        ({"lr_scheduler": "constant"}, {"lr_scheduler_kwargs": {"num_cycles": 2}}, "has no effect"),
        ({}, {"lr_scheduler_kwargs": {"a": 1}}, "trainer.lr_scheduler=cosine: .* unexpected keyword argument 'a'"),
        ({}, {"lr_scheduler_kwargs": "a"}, "trainer.args.lr_scheduler_kwargs=a: input should be a valid dictionary"),
        ({}, {"max_steps": "abc"}, "trainer.args.max_steps=abc: input should be a valid integer"),
        (
            {},
            {"optim_args": "x"},
            "^trainer.args.optim_args=x: not settings by name; write 'NAME=VALUE,NAME=VALUE'$",
        ),
        (
            {"lr_scheduler": "cosine_with_min_lr"},
            {"lr_scheduler_kwargs": {"min_lr_rate": -5}},
            "^trainer.args.lr_scheduler_kwargs.min_lr_rate=-5: a schedule has no negative number; give at least 0$",
        ),
        (
            {"lr_scheduler": "cosine_with_min_lr"},
            {"lr_scheduler_kwargs": {"min_lr_rate": 5}},
            r"^trainer.lr_scheduler=cosine_with_min_lr: the learning rate is 1\.\d+ times its peak at optimizer step ",
        ),
        ({}, {"optim_args": "a=1"}, "trainer.optimizer=adamw_torch: optim_args=a=1 has no effect"),
        ({"optimizer": "rmsprop"}, {"optim_args": "eps=-1"}, "trainer.optimizer=rmsprop: "),
        (
            {},
            {"optim_target_modules": "all"},
            "trainer.args.optim_target_modules: trainer.optimizer=adamw_torch does not use it",
        ),
        (
            {},
            {"gradient_checkpointing_kwargs": {"reentrant": True}},
            r"^trainer.args.gradient_checkpointing_kwargs.reentrant=True: no such .*; did you mean 'use_reentrant'\?$",
        ),
        ({}, {"gradient_checkpointing_kwargs": {"use_reentrant": "x"}}, "_kwargs.use_reentrant=x: must be true or "),
        ({}, {"debug": "zzz"}, "trainer.args.debug=zzz: input should be 'underflow_overflow'"),
        (
            {},
            {"ddp_backend": "gloo"},
            "trainer.args.ddp_backend=gloo: applies to several processes, and runtime.processes=1",
        ),
        ({}, {"torch_empty_cache_steps": 0}, "trainer.args.torch_empty_cache_steps=0: input should be greater than 0"),
    ],
)
def test_refused_in_one_line(changes: dict[str, Any], args: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        ask(changes, args)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "args"),
    [
        ({"lr_scheduler": "cosine_with_min_lr"}, {"lr_scheduler_kwargs": {"min_lr_rate": 0.1}}),
        ({"lr_scheduler": "warmup_stable_decay"}, {"lr_scheduler_kwargs": {"num_decay_steps": 10}}),
        ({"lr_scheduler": "polynomial", "learning_rate": 1e-5}, {}),
        ({"lr_scheduler": "inverse_sqrt"}, {}),
        ({"lr_scheduler": "cosine_with_restarts"}, {}),
        ({"optimizer": "adafactor"}, {}),
        ({"optimizer": "rmsprop"}, {"optim_args": "momentum=0.1,alpha=0.5"}),
        ({}, {"max_steps": 3, "debug": "underflow_overflow"}),
    ],
)
def test_what_the_libraries_take(changes: dict[str, Any], args: dict[str, Any]) -> None:
    before = dict(os.environ)
    ask(changes, args)
    assert dict(os.environ) == before


def test_plain_settings_import_nothing() -> None:
    assert not needs_asking(trainer(args={}, lr_scheduler="cosine", optimizer="adamw_torch"), None)


@pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="DeepSpeed is not installed")
class TestDeepSpeed:
    @pytest.mark.parametrize("processes", [1, 2])
    @pytest.mark.parametrize("name", ["zero1", "zero2", "zero3", "zero3_offload"])
    def test_what_ships_is_taken(self, name: str, processes: int) -> None:
        before = dict(os.environ)
        ask({}, {}, deepspeed(name), processes)
        assert dict(os.environ) == before

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"train_batch_size": 5}, r"^deepspeed.train_batch_size=5: the other settings give .*=8; set .*=auto$"),
            ({"gradient_clipping": 7}, r"^deepspeed.gradient_clipping=7: the other settings give max_grad_norm=1.0; "),
            ({"bf16": {"enabled": True}}, r"^deepspeed.bf16.enabled=True: the other settings give "),
            ({"fp16": {"enabled": "auto", "loss_scale": "abc"}}, r"^deepspeed: .*fp16.loss_scale must be a number"),
            ({"nope": 1}, r"^deepspeed.nope=1: no such setting; the nearest are "),
            ({"gradient_cliping": 1.0}, r"^deepspeed.gradient_cliping=1.0: .*; did you mean 'gradient_clipping'\?$"),
            (
                {"activation_checkpointing": {"cpu_checkpoint": True}},
                r"^deepspeed.activation_checkpointing.cpu_checkpoint=True: .*; did you mean 'cpu_checkpointing'\?$",
            ),
        ],
    )
    def test_what_does_not_fit_is_one_line(self, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message) as caught:
            ask({"max_grad_norm": 1.0}, {}, deepspeed("zero2") | changes, 2)
        assert "\n" not in str(caught.value)
