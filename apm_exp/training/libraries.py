"""Early validation of training settings by the objects of transformers, torch and DeepSpeed themselves."""

import copy
import inspect
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.utils.checkpoint
from transformers import Trainer, TrainingArguments, get_scheduler

from apm_exp.core.component import nearest
from apm_exp.core.types import Policy
from apm_exp.runtime.settings import all_processes
from apm_exp.training.arguments import training_arguments
from apm_exp.training.batching import batching
from apm_exp.training.deepspeed_names import names_read, refuse_unread
from apm_exp.training.optimizers import lacking_package
from apm_exp.training.task import Settings, TrainingTask

_STEPS = 10_000  # optimizer steps of a training whose length is not known yet
_PEAK = 1 + 1e-9  # trainer.learning_rate is the highest rate; rounding aside
_OWN_STEP = ("galore", "apollo")  # these optimizers wrap layers of the model: optim_target_modules
_NO_SETTINGS = ("constant", "constant_with_warmup")


def ask_libraries(
    trainer: Mapping[str, Any], runtime: Mapping[str, Any], deepspeed: Mapping[str, Any] | None, dtype: str
) -> None:
    """Build the arguments, the optimizer of a small layer, its schedule and DeepSpeed's configuration.

    Raises a one-line ValueError with what a library refuses or would ignore. The environment and the libraries' global
    state are restored.
    """
    check_alone(trainer["args"], all_processes(runtime))
    check_checkpointing(trainer["args"])
    settings = Settings(**{name: trainer[name] for name in Settings.__dataclass_fields__})
    with _left_as_it_was():
        arguments = _arguments(settings, runtime, deepspeed, dtype)
        if deepspeed:
            _check_deepspeed_config(arguments)
        _check_schedule(arguments, settings, _optimizer(arguments, settings))


@contextmanager
def _left_as_it_was() -> Iterator[None]:
    """Restore the environment variables and the DeepSpeed configuration that the libraries set globally."""
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    before = dict(os.environ)
    try:
        yield
    finally:
        unset_hf_deepspeed_config()
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


def _arguments(
    settings: Settings, runtime: Mapping[str, Any], deepspeed: Mapping[str, Any] | None, dtype: str
) -> TrainingArguments:
    processes = all_processes(runtime)

    class Asked(TrainingArguments):  # reports all processes, though this is the only one, and uses no device
        _setup_devices = torch.device("cpu")
        world_size = processes
        _n_gpu = 0

    node, per_device = settings.global_batch, runtime["pairs_per_device"]
    batches = batching(
        pairs=node * _STEPS, global_batch=node, epochs=1, pairs_per_device=per_device, processes=processes
    )
    policy = Policy(Path("model"), "model", dtype, "auto", False)
    task = TrainingTask(Path("policy"), policy, None, {}, 0, runtime, deepspeed, print)
    return training_arguments(settings, task, batches, "cpu", kind=Asked)


def _optimizer(arguments: TrainingArguments, settings: Settings) -> Any:
    """Return the optimizer of a small layer, created as Trainer does; torch's AdamW for one that is not installed.

    The latter is only possible in a plan for another machine.
    """
    own_step = settings.optimizer.startswith(_OWN_STEP)
    if settings.args.get("optim_target_modules") and not own_step:
        raise ValueError(
            f"trainer.args.optim_target_modules: trainer.optimizer={settings.optimizer} does not use it; remove it"
        )
    weights: Any = torch.nn.Linear(2, 2)
    if own_step or lacking_package(settings.optimizer):
        return torch.optim.AdamW(weights.parameters(), settings.learning_rate)
    with _one_line(
        f"trainer.optimizer={settings.optimizer}", "set its own settings as '+trainer.args.optim_args=\"NAME=VALUE\"'"
    ):
        kind, keywords = Trainer.get_optimizer_cls_and_kwargs(arguments, weights)
        plain = copy.copy(arguments)
        plain.optim_args = None
        if arguments.optim_args and Trainer.get_optimizer_cls_and_kwargs(plain, weights)[1] == keywords:
            raise ValueError(f"optim_args={arguments.optim_args} has no effect")
        settable = {
            name: value for name, value in keywords.items() if name not in ("params", "model", "optimizer_dict")
        }
        optimizer = kind(weights.parameters(), **settable)
    return optimizer


def _check_schedule(arguments: TrainingArguments, settings: Settings, optimizer: Any) -> None:
    """Check the schedule's settings, and the learning rate from its beginning to its end."""
    name, steps = settings.lr_scheduler, arguments.max_steps if arguments.max_steps > 0 else _STEPS
    keywords: Any = arguments.lr_scheduler_kwargs
    for key, value in (keywords or {}).items():
        if isinstance(value, int | float) and value < 0:
            problem = "a schedule has no negative number"
            raise ValueError(f"trainer.args.lr_scheduler_kwargs.{key}={value}: {problem}; give at least 0")
    with _one_line(
        f"trainer.lr_scheduler={name}", "set its own settings as '+trainer.args.lr_scheduler_kwargs={NAME: VALUE}'"
    ):
        if keywords and name in _NO_SETTINGS:
            raise ValueError(f"lr_scheduler_kwargs={keywords} has no effect")
        warmup = arguments.get_warmup_steps(steps)
        schedule = get_scheduler(name, optimizer, warmup, steps, keywords)
        for step in sorted({1, warmup, steps - 1, *range(0, steps, max(1, steps // 100))}):
            rates = [float(part(step)) for part in getattr(schedule, "lr_lambdas", [])]
            if not all(0 <= rate <= _PEAK for rate in rates):
                raise ValueError(
                    f"the learning rate is {rates[0]:g} times its peak at optimizer step {step} of {steps}"
                )


def check_alone(args: Mapping[str, Any], processes: int) -> None:
    """Raise ValueError for arguments of torch's DistributedDataParallel if there is only one process."""
    if processes == 1 and (name := next((name for name in args if name.startswith("ddp_")), None)):
        problem = f"applies to several processes, and runtime.processes={processes}"
        raise ValueError(f"trainer.args.{name}={args[name]}: {problem}; remove it")


def check_checkpointing(args: Mapping[str, Any]) -> None:
    """Raise ValueError for a setting of gradient checkpointing that torch's function does not take."""
    own = set(inspect.signature(torch.utils.checkpoint.checkpoint).parameters) | {"preserve_rng_state"}  # of its kwargs
    known = own - {"function", "args", "kwargs", "context_fn"}
    for argument in ("gradient_checkpointing_kwargs", "activation_checkpointing_kwargs"):
        for name, value in (args.get(argument) or {}).items():
            label = f"trainer.args.{argument}.{name}={value}"
            if name not in known:
                raise ValueError(f"{label}: no such setting; {nearest(name, known)}")
            if not isinstance(value, bool | str) or (isinstance(value, str) and name != "determinism_check"):
                raise ValueError(f"{label}: must be true or false")


def _check_deepspeed_config(arguments: TrainingArguments) -> None:
    """Check DeepSpeed's settings against ours with transformers, and their values with DeepSpeed."""
    settings: Any = arguments.hf_deepspeed_config
    for mismatch in settings.mismatches:
        name, _, ours = mismatch.removeprefix("- ds ").partition(" vs hf ")
        key = name.partition("=")[0]
        raise ValueError(f"deepspeed.{name}: the other settings give {ours}; set deepspeed.{key}=auto")
    with _one_line("deepspeed", "see conf/deepspeed for settings that work"):
        model = SimpleNamespace(config=SimpleNamespace(hidden_size=64))
        settings.trainer_config_finalize(arguments, model, _STEPS)
        batch = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps
        # of this process alone, as no process group is initialized
        names = names_read({**settings.config, "train_batch_size": batch})
    refuse_unread(settings.config, names)


@contextmanager
def _one_line(setting: str, remedy: str) -> Iterator[None]:
    """Convert any exception of a library to a one-line ValueError that begins with the setting."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"{setting}: {' '.join(str(error).split()) or type(error).__name__}; {remedy}") from error
