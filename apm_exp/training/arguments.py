"""Conversion of our settings to transformers' TrainingArguments; `trainer.args` is passed through after a check."""

import dataclasses
import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from transformers import TrainingArguments

from apm_exp.core import component
from apm_exp.core.component import nearest, typed
from apm_exp.core.hints import hint_for_setting
from apm_exp.training.batching import Batching
from apm_exp.training.passed import PASSED, passed
from apm_exp.training.task import Settings, TrainingTask


def check_args(args: Mapping[str, Any]) -> None:
    """Raise ValueError for names in `trainer.args` that are not in PASSED, and for values of the wrong type.

    The message names the setting to use instead, if there is one.
    """
    known = {field.name for field in dataclasses.fields(TrainingArguments)}
    for name, value in args.items():
        if name not in PASSED and (hint := hint_for_setting(f"trainer.args.{name}", typed(value))):
            raise ValueError(f"trainer.args.{name}={typed(value)}: {hint}")
        if name not in PASSED:
            what = "has no effect here" if name in known else "not a training argument"
            raise ValueError(f"trainer.args.{name}={value}: {what}; {nearest(name, PASSED)}")
    component.check("trainer.args", args, (passed,))


def training_arguments(
    settings: Settings,
    task: TrainingTask,
    batches: Batching,
    device: str,
    kind: type[TrainingArguments] = TrainingArguments,
    **more: Any,
) -> TrainingArguments:
    """Return the TrainingArguments of a run.

    kind: the class to build, as TRL has subclasses with additional fields, given in `more`. Raises a one-line
    ValueError if the class rejects a value.
    """
    check_args(settings.args)
    arguments = _from_settings(settings, batches) | _from_task(task, device) | settings.args | more
    try:
        result = kind(**arguments)
    except (ValueError, TypeError, ImportError) as error:
        raise ValueError(f"trainer: {' '.join(str(error).split())}") from error
    # without this, one process that sees several GPUs would use torch's DataParallel
    result._n_gpu = min(result.n_gpu, 1)
    return result


def _from_settings(settings: Settings, batches: Batching) -> dict[str, Any]:
    steps = settings.args.get("max_steps", -1)
    return {
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": batches.per_device,
        "gradient_accumulation_steps": batches.accumulation,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.lr_scheduler,
        "warmup_steps": _warmup_steps(settings.warmup_ratio, steps if steps > 0 else batches.steps),
        "optim": settings.optimizer,
        "weight_decay": settings.weight_decay,
        "adam_beta1": settings.adam_beta1,
        "adam_beta2": settings.adam_beta2,
        "adam_epsilon": settings.adam_epsilon,
        "max_grad_norm": settings.max_grad_norm or 0.0,  # 0 disables clipping in transformers, TRL and DeepSpeed
        "logging_steps": settings.log_every,
        "logging_first_step": True,
        "save_strategy": "steps" if settings.save_every else "no",
        "save_steps": settings.save_every or 500,
        # our own callback removes old checkpoints once the new one is complete (training/callbacks/checkpoints.py)
        "save_total_limit": None,
    }


def _from_task(task: TrainingTask, device: str) -> dict[str, Any]:
    return {
        "output_dir": str(task.out / "checkpoints"),
        "seed": task.seed,
        "deepspeed": deepspeed_node(task.deepspeed) if task.deepspeed else None,
        "use_cpu": device == "cpu",
        "bf16": task.policy.dtype == "bfloat16",
        "fp16": task.policy.dtype == "float16",
        "dataloader_pin_memory": device.startswith("cuda"),
        "dataloader_drop_last": False,
        "ddp_find_unused_parameters": False,  # a forward uses all parameters; searching for unused ones takes time
        "remove_unused_columns": False,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": [],
    }


def deepspeed_node(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a DeepSpeed node in which trainer.max_grad_norm applies.

    DeepSpeed does not clip gradients if its configuration has no `gradient_clipping`.
    """
    return {"gradient_clipping": "auto", **deepcopy(dict(node))}


def _warmup_steps(ratio: float, steps: int) -> int:
    """Return the number of warmup steps: rounded up as in transformers, but 0 if the ratio is less than one step.

    A first step of warmup would have a learning rate of 0.
    """
    return math.ceil(ratio * steps) if ratio * steps >= 1 else 0
