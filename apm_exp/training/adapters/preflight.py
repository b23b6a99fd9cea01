"""Checks of an adapter that run before any work."""

import importlib.util
import logging
from collections.abc import Mapping
from typing import Any

from apm_exp.core import component
from apm_exp.runtime.accelerators import is_elsewhere
from apm_exp.runtime.device import pick_device
from apm_exp.training.adapters.adapter import Adapter
from apm_exp.training.deepspeed_setup import stage_of

logger = logging.getLogger(__name__)


def adapter_name(node: Mapping[str, Any] | None) -> str | None:
    """Return the adapter's name, or None if all weights are trained."""
    return component.name_of(node) if node else None


def adapter_of(node: Mapping[str, Any] | None) -> Adapter | None:
    """Return the adapter that a node describes, or None; raises ValueError as component.bind."""
    adapter: Adapter | None = component.bind("model.adapter", node)() if node else None
    return adapter


def check_adapter(
    node: Mapping[str, Any] | None,
    *,
    trainer: Mapping[str, Any],
    runtime: Mapping[str, Any],
    deepspeed: Mapping[str, Any] | None,
) -> None:
    """Check that an adapter's libraries and device are available, and that the trainer and DeepSpeed support it.

    A plan for another machine needs neither the device nor its libraries here. Raises a one-line ValueError with the
    remedy. Does not import the libraries.
    """
    adapter = adapter_of(node)
    if adapter is None:
        return
    label = f"model.adapter={adapter_name(node)}"
    _demand(label, "peft", ".")
    if trainer["implementation"] == "trl":
        raise ValueError(f"{label}: trainer=trl trains all weights and does not support adapters; use trainer=pairs")
    if adapter.quantization is not None:
        _check_four_bits(label, runtime, deepspeed)


def check_layers(node: Mapping[str, Any] | None, model: Any) -> None:
    """Raise ValueError if the model has none of the layers that the adapter names.

    Logs a warning about experts that all-linear skips. model: may be on torch's meta device, without weights. It is
    modified and must not be used afterwards.
    """
    adapter = adapter_of(node)
    if adapter is not None:
        import torch

        from apm_exp.training.adapters.peft_model import unadapted_matrices, with_adapter

        with torch.device("meta"):
            adapted = with_adapter(model, adapter, seed=0)
        if adapter.lora["target_modules"] == "all-linear" and (left := unadapted_matrices(adapted)):
            frozen = sum(weight.numel() for weight in adapted.parameters() if not weight.requires_grad)
            logger.warning(
                "model.adapter.target_modules=all-linear: %d weights that are no linear layers, %.0f%% of the model, "
                "have no adapter and stay as they are: %s, ... (experts, as a rule)",
                *(len(left), 100 * sum(left.values()) / frozen, next(iter(left))),
            )


def _check_four_bits(label: str, runtime: Mapping[str, Any], deepspeed: Mapping[str, Any] | None) -> None:
    remedy = "use model.adapter=lora"
    if not pick_device(dict(runtime)).startswith("cuda"):
        raise ValueError(f"{label}: 4-bit weights need a CUDA GPU, and runtime.device is not one; {remedy}")
    if not is_elsewhere(runtime):
        _demand(label, "bitsandbytes", ".[qlora]")
    if stage_of(deepspeed) == 3:
        raise ValueError(f"{label}: ZeRO-3 cannot shard 4-bit weights; use deepspeed=zero2, or {remedy}")


def _demand(label: str, module: str, install: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise ValueError(f"{label}: {module} is not installed; install it with: pip install -e '{install}'")
