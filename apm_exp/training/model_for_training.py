"""The starting policy as a model that is about to be trained."""

from dataclasses import replace
from typing import Any

from torch import nn

from apm_exp.adapters.adapter import Adapter
from apm_exp.models.load import load_model
from apm_exp.training.compiled_blocks import compile_blocks
from apm_exp.training.low_rank import load_frozen, with_adapter
from apm_exp.types import Policy


def model_for_training(
    policy: Policy,
    device: str,
    *,
    deepspeed: bool,
    gradient_checkpointing: bool,
    compiled: bool,
    adapter: Adapter | None,
    seed: int,
) -> Any:
    """The policy's model without dropout (Policy and reference differ by training alone), on `device`.

    Updates of a low learning rate vanish in 16-bit weights, so a policy in a 16-bit dtype is loaded in float32 and
    multiplied in its dtype; DeepSpeed keeps float32 master weights itself and places the model itself. With an
    adapter the policy's weights are not updated: they stay in its dtype, and the adapter's are float32. seed: of the
    adapter's random weights.
    """
    place = "cpu" if deepspeed else device
    if adapter is not None:
        model = load_frozen(policy, adapter, device if adapter.quantisation else place)
    else:
        model = load_model(policy if deepspeed else replace(policy, dtype="float32"), place)
    without_dropout(model)
    if gradient_checkpointing:
        # The name that transformers 5.23 brought in, else the one before it.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable()
    if compiled:
        compile_blocks(model)
    return model if adapter is None else with_adapter(model, adapter, seed)


def without_dropout(model: nn.Module) -> None:
    """Set every dropout probability in the model to zero."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0  # type: ignore[assignment]
