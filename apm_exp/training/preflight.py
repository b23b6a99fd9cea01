"""Checks of the training settings that run before any step."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core import component
from apm_exp.core.told import told
from apm_exp.runtime.accelerators import is_elsewhere
from apm_exp.runtime.settings import all_processes
from apm_exp.training.batching import batching
from apm_exp.training.deepspeed_setup import check_deepspeed
from apm_exp.training.optimizers import COMMON, check_optimizer

_PLAIN_SCHEDULES = ("cosine", "linear", "constant", "constant_with_warmup")
_PLAIN = {"label_smoothing": 0.0, "form": "logistic", "sft_weight": 0.0}


def check_training(
    *,
    trainer: Mapping[str, Any],
    loss: Mapping[str, Any],
    runtime: Mapping[str, Any],
    deepspeed: Mapping[str, Any] | None,
    dtype: str = "float32",
) -> None:
    """Check the settings of a training against each other and against the libraries' own names.

    transformers and DeepSpeed are imported only if one of their settings is used. Raises a one-line ValueError.
    """
    batching(
        pairs=1,
        global_batch=trainer["global_batch"],
        epochs=1,
        pairs_per_device=runtime["pairs_per_device"],
        processes=all_processes(runtime),
    )
    check_decay(trainer["learning_rate"], trainer["weight_decay"])
    check_one_process(trainer["implementation"], all_processes(runtime))
    check_first_gpu(runtime["device"])
    if trainer["implementation"] == "trl":
        check_trl_loss(loss)
    if trainer["args"]:
        from apm_exp.training.arguments import check_args

        check_args(trainer["args"])
    check_optimizer(trainer["optimizer"], elsewhere=is_elsewhere(runtime))
    check_deepspeed(deepspeed)
    if needs_asking(trainer, deepspeed):
        from apm_exp.training.libraries import ask_libraries

        ask_libraries(trainer, runtime, deepspeed, dtype)
    if trainer["torch_compile"]:
        from apm_exp.training.compiled_blocks import check_compile

        check_compile(deepspeed)


def needs_asking(trainer: Mapping[str, Any], deepspeed: Mapping[str, Any] | None) -> bool:
    """Return whether some settings can only be validated by the libraries, whose import takes seconds."""
    plain = trainer["lr_scheduler"] in _PLAIN_SCHEDULES and trainer["optimizer"] in COMMON
    return bool(trainer["args"] or deepspeed) or not plain


def check_decay(learning_rate: float, weight_decay: float) -> None:
    """Raise ValueError if the weight decay would remove a weight entirely in one optimizer step."""
    if learning_rate * weight_decay >= 1:
        share = f"times trainer.learning_rate={learning_rate:g} it removes a whole weight in one optimizer step"
        raise ValueError(f"trainer.weight_decay={weight_decay:g}: {share}; set less than {1 / learning_rate:g}")


def check_one_process(implementation: str, processes: int) -> None:
    """Raise ValueError if TRL's trainers, which do not know our order of pairs, would run in several processes."""
    if implementation == "trl" and processes > 1:
        remedy = "set 1 on one node, or use trainer=pairs"
        raise ValueError(f"runtime.processes={processes} in all: trainer=trl supports only one; {remedy}")


def check_first_gpu(device: str) -> None:
    """Raise ValueError if the device is a GPU other than the first, which transformers' trainer always uses."""
    index = device.partition(":")[2]
    if index not in ("", "0"):
        remedy = f"set CUDA_VISIBLE_DEVICES={index} and runtime.device=cuda"
        raise ValueError(f"runtime.device={device}: training uses the first visible GPU; {remedy}")


def check_trl_loss(loss: Mapping[str, Any]) -> str:
    """Return the name of TRL's trainer that equals a loss, as `IN_TRL` in the loss's module says.

    Raises ValueError for a loss without.
    """
    trainer: str | None = told("loss", loss, "IN_TRL")
    if trainer is None:
        remedy = "use loss=dpo, loss=simpo or trainer=pairs"
        raise ValueError(f"trainer=trl: TRL has no equivalent of loss={component.name_of(loss)}; {remedy}")
    for setting, plain in _PLAIN.items():
        if loss.get(setting, plain) != plain:
            remedy = f"set loss.{setting}={plain}, or use trainer=pairs"
            raise ValueError(f"loss.{setting}={loss[setting]}: not supported by trainer=trl; {remedy}")
    return trainer
