import subprocess
import sys

import pytest

from apm_exp.training.preflight import check_training
from tests.training.cases import CONF, DPO, deepspeed, runtime, trainer


def checked(**changes):
    check_training(**{"trainer": trainer(), "loss": DPO, "runtime": runtime(), "deepspeed": None, **changes})


def test_the_shipped_settings_pass():
    checked()
    checked(trainer=trainer(implementation="trl", optimizer="adafactor", args={"max_steps": 3}))
    checked(deepspeed=deepspeed("zero2"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"trainer": trainer(global_batch=6)},
            "^trainer.global_batch=6: not a multiple of runtime.pairs_per",
        ),
        (
            {"runtime": runtime(processes=3)},
            "^trainer.global_batch=4: cannot be divided among 3 processes; set trainer.global_batch=3 or 6, or",
        ),
        (
            {"runtime": runtime(processes=2), "trainer": trainer(implementation="trl")},
            "^runtime.processes=2 in all: trainer=trl supports only one; set 1 on one node, or use trainer=pairs$",
        ),
        (
            {"deepspeed": {"zero_optimization": {"stage": 3}}},
            "^deepspeed.zero_optimization.stage3_gather_16bit_weights_on_model_save=false: the weights would not be",
        ),
        (
            {"runtime": runtime(processes=10**12)},
            r"^trainer.global_batch=4: cannot be divided among 1000000000000 processes; .*=1000000000000, or",
        ),
        (
            {"trainer": trainer(weight_decay=1e3)},
            "^trainer.weight_decay=1000: times trainer.*=0.001 it removes a whole weight in one optimizer step",
        ),
        (
            {"deepspeed": deepspeed("zero2") | {"steps_per_print": 0}},
            "^deepspeed.steps_per_print=0: input should be gre",
        ),
        ({"deepspeed": deepspeed("zero2") | {"bf16": 7}}, "^deepspeed.bf16=7: must be a section; set "),
        (
            {"deepspeed": deepspeed("zero2") | {"scheduler": {}}},
            "^deepspeed.scheduler: the trainer creates it; remove it",
        ),
        ({"trainer": trainer(args={"max_step": 3})}, "^trainer.args.max_step=3: .*'max_steps'"),
        ({"trainer": trainer(optimizer="adamw_torh")}, "^trainer.optimizer=adamw_torh: .*'adamw_torch'"),
        (
            {"trainer": trainer(optimizer="galore_adamw")},
            "^trainer.optimizer=galore_adamw: needs galore_torch, .*; pip install galore-torch, or .*=adamw_torch$",
        ),
        (
            {"deepspeed": {"train_batch_size": 5}},
            "^deepspeed.train_batch_size=5: without a section zero_optimization .*; take deepspeed=zero2, or leave it ",
        ),
        (
            {"runtime": runtime(device="cuda:1")},
            "^runtime.device=cuda:1: training uses the first visible GPU; set CUDA_VISIBLE_DEVICES=1 and ",
        ),
        ({"deepspeed": {"zero_optimization": {"stage": 7}}}, "^deepspeed.zero_optimization.stage=7: "),
        (
            {"trainer": trainer(implementation="trl"), "loss": {"_target_": "apm_exp.training.losses.hinge.hinge"}},
            "^trainer=trl: TRL has no equivalent of loss=hinge; use loss=dpo, loss=simpo or trainer=pairs$",
        ),
    ],
)
def test_what_is_wrong_is_one_line_before_any_work(changes, message):
    with pytest.raises(ValueError, match=message):
        checked(**changes)


def test_the_shipped_settings_are_checked_without_torch():
    code = f"""
import sys
from omegaconf import OmegaConf
from apm_exp.training.preflight import check_training
trainer, runtime = (OmegaConf.load(f"{CONF}/{{name}}.yaml") for name in ("trainer/pairs", "runtime/auto"))
check_training(trainer=trainer, loss={DPO}, runtime=runtime, deepspeed=None)
assert not {{"torch", "transformers", "deepspeed"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
