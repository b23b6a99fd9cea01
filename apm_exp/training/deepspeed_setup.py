"""Set-up of DeepSpeed in this process, and its removal after the training."""

import importlib.util
import logging
import os
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from apm_exp.core import component
from apm_exp.core.ranges import Count, Positive

_MAPPINGS = {"zero_optimization", "bf16", "fp16", "activation_checkpointing", "data_types", "torch_autocast"}
_OURS = {"optimizer": "trainer.optimizer", "scheduler": "trainer.lr_scheduler"}
_GATHER = "stage3_gather_16bit_weights_on_model_save"


@contextmanager
def deepspeed_session(node: Mapping[str, Any] | None, device: str) -> Iterator[None]:
    """Set up DeepSpeed for a training inside the block; does nothing without a node.

    If no launcher started the process, the environment variables of a world of size 1 are set. On a CPU, gloo is the
    communication backend, and DeepSpeed's shared-memory operation, which takes a minute to compile, is disabled. Raises
    ValueError if DeepSpeed is not installed.
    """
    if not node:
        yield
        return
    if importlib.util.find_spec("deepspeed") is None:
        raise ValueError("deepspeed: DeepSpeed is not installed on this machine; use deepspeed=none")
    before = set(os.environ)
    _world_of_one()
    try:
        _start(device)
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", r"`torch\.distributed\..* is deprecated", FutureWarning
            )  # raised by DeepSpeed's calls
            yield
    finally:
        _stop()
        for name in set(os.environ) - before:  # including the variables that accelerate sets
            del os.environ[name]


def stage_of(node: Mapping[str, Any] | None) -> int | None:
    """Return the ZeRO stage of a DeepSpeed node, or None without a node."""
    return (node.get("zero_optimization") or {}).get("stage", 0) if node else None


def check_deepspeed(node: Mapping[str, Any] | None) -> None:
    """Check a DeepSpeed node; raises a one-line ValueError.

    DeepSpeed's own class checks the ZeRO section. Names that DeepSpeed ignores are refused later: deepspeed_names.py.
    """
    if not node or importlib.util.find_spec("deepspeed") is None:
        return
    for name, ours in _OURS.items():
        if name in node:
            raise ValueError(f"deepspeed.{name}: the trainer creates it; remove it and set {ours}")
    for name in _MAPPINGS & set(node):
        if not isinstance(node[name], Mapping):
            raise ValueError(f"deepspeed.{name}={node[name]}: must be a section; set deepspeed.{name}.NAME=VALUE")
    if not node.get("zero_optimization"):
        name = next(iter(node))
        problem = "without a section zero_optimization nothing says how DeepSpeed is to train"
        raise ValueError(f"deepspeed.{name}={node[name]}: {problem}; take deepspeed=zero2, or leave it out")
    component.check("deepspeed", component.settings_of(_plain, node), (_plain,))
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig
    from pydantic import ValidationError

    section = {name: value for name, value in (node.get("zero_optimization") or {}).items() if value != "auto"}
    try:
        DeepSpeedZeroConfig(**section)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"deepspeed.zero_optimization.{key}={first['input']}: {first['msg']}") from None
    if section.get("stage") == 3 and not section.get(_GATHER):
        raise ValueError(f"deepspeed.zero_optimization.{_GATHER}=false: the weights would not be saved; set it to true")


def _plain(
    *,
    steps_per_print: Count | None = None,
    zero_allow_untested_optimizer: bool = True,
    zero_force_ds_cpu_optimizer: bool = True,
    prescale_gradients: bool = False,
    gradient_predivide_factor: Positive = 1.0,
    wall_clock_breakdown: bool = False,
) -> None:
    """Declare the types of the settings outside DeepSpeed's sections, which DeepSpeed does not check."""


def _world_of_one() -> None:
    """Set the environment variables that a launcher would set, unless they are set."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    wanted = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    for name, value in wanted.items():
        os.environ.setdefault(name, value)


def _start(device: str) -> None:
    if device == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed

    deepspeed.utils.logger.setLevel(logging.WARNING)
    logging.getLogger("accelerate.accelerator").addFilter(_worth_saying)
    if device == "cpu":
        operations = getattr(deepspeed.ops, "__compatible_ops__", {})
        if "deepspeed_shm_comm" in operations:
            operations["deepspeed_shm_comm"] = False
        deepspeed.init_distributed(dist_backend="gloo", verbose=False)


def _worth_saying(record: logging.LogRecord) -> bool:
    """Return whether to log a record of accelerate.

    transformers handles gradient accumulation itself and tells accelerate of none; DeepSpeed's count is the right one.
    """
    return "Gradient accumulation steps mismatch" not in record.getMessage()


def _stop() -> None:
    """Reset the state that transformers and accelerate keep about DeepSpeed.

    Its process group is kept, as DeepSpeed cannot be initialized twice.
    """
    from accelerate.state import AcceleratorState
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()
    AcceleratorState._reset_state(reset_partial_state=True)
