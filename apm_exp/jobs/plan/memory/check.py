"""Before work begins: whether the training of a job can fit its device."""

import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from apm_exp.core.errors import library_error
from apm_exp.jobs.plan.device import named
from apm_exp.jobs.plan.memory.adapted import adapt
from apm_exp.jobs.plan.memory.device import available_memory, device_memory, host_memory, memory_of
from apm_exp.jobs.plan.memory.estimate import estimate
from apm_exp.jobs.plan.memory.fits import problem
from apm_exp.jobs.plan.memory.longest import longest_pairs, shortest_possible
from apm_exp.jobs.plan.memory.shape import config_folder, shape_of
from apm_exp.jobs.plan.memory.training import Lengths, Training, training_of
from apm_exp.models.shape import empty_llama, empty_model
from apm_exp.pipeline.resolve import builds_model, is_here, resolve_dtype
from apm_exp.pipeline.step import Step
from apm_exp.runtime.device import pick_device
from apm_exp.training.adapters.adapter import Adapter
from apm_exp.training.adapters.preflight import adapter_of, check_layers

logger = logging.getLogger(__name__)
_ERROR = 0.2  # of an estimate, either way: docs/performance.md
Config = Mapping[str, Any]


def check_before_work(config: Config) -> None:
    """Raise a one-line ValueError where a training cannot fit, however short its pairs are."""
    if (training := _training(config, shortest_possible(), False)) and named(config["runtime"]) is None:
        refuse(training)


def check_before_training(config: Config, policy: Step) -> None:
    """Raise a one-line ValueError if the training cannot fit with the pairs that it has; warn if it may not."""
    if training := step_training(config, policy):
        tell(training, config)


def tell(training: Training, config: Config) -> None:
    """Raise if the training cannot fit with the pairs that it has; warn if it may not, or with longer pairs.

    Of another machine's device, or a model that is not here, nothing is refused: a plan says how it is.
    """
    runtime = config["runtime"]
    if not training.bound and named(runtime) is None and is_here("model", config["model"]):
        refuse(training)
    if text := problem(training, memory_of(runtime), host_memory(runtime)):
        logger.warning("%s%s", text, " (if the pairs are as long as tokens allows)" if training.bound else "")


def refuse(training: Training) -> None:
    """Raise where the training does not fit even if the estimate is too high by as much as it can be."""
    available, machine = device_memory(training.device), available_memory()
    if text := problem(training, available, machine, 1 - _ERROR):
        raise ValueError(text)


def step_training(config: Config, policy: Step) -> Training | None:
    """Return the training of a policy's step, with the longest known pairs; None if the model's shape is unknown."""
    return _training(config, *longest_pairs(policy.inputs["parts"], config["runtime"]["pairs_per_device"]))


def _training(config: Config, pairs: tuple[Lengths, ...], bound: bool) -> Training | None:
    """Return the training if it can be estimated. Wrong settings raise ValueError; a failing estimate only warns."""
    runtime, model = config["runtime"], config["model"]
    device, dtype = pick_device(dict(runtime)), resolve_dtype(model["dtype"], runtime)
    folder = None if builds_model(model) else config_folder("model", model)
    adapter = adapter_of(config["adapter"] or None)
    if adapter and builds_model(model) and (shape := shape_of(model)):
        check_layers(config["adapter"], empty_llama(shape))
    try:
        training = _estimated(config, folder, adapter, device, dtype, pairs, bound)
        if training:
            estimate(training)
        return training
    except Exception as error:
        _warn_once(f"no estimate of the training's memory ({library_error(error)}); whether it fits will be seen")
        return None


def _estimated(
    config: Config,
    folder: Path | None,
    adapter: Adapter | None,
    device: str,
    dtype: str,
    pairs: tuple[Lengths, ...],
    bound: bool,
) -> Training | None:
    """folder: of a model that exists."""
    model = config["model"]
    shape, frozen = shape_of(model), None
    if shape is None:
        return None
    if adapter:
        empty = empty_model(folder, model["trust_remote_code"]) if folder else empty_llama(shape)
        shape, frozen = adapt(shape, empty, adapter, 4 if dtype == "float32" else 2)
    return training_of(config, shape, frozen, device, dtype, pairs, bound)


@cache
def _warn_once(text: str) -> None:
    """Log a warning once: a job estimates its memory before and after scoring."""
    logger.warning("%s", text)
