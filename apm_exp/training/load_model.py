"""The starting policy, loaded as a model to train."""

from dataclasses import replace
from typing import Any

from apm_exp.core.types import Policy
from apm_exp.models.load import load_model
from apm_exp.training.adapters.adapter import Adapter
from apm_exp.training.adapters.peft_model import load_frozen, with_adapter
from apm_exp.training.compiled_blocks import compile_blocks
from apm_exp.training.dropout import config_without_noise, without_dropout


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
    """Load the policy's model for training, without dropout, so that policy and reference differ by training alone.

    The saved policy's configuration has dropout at 0 too.

    Small updates vanish in 16-bit weights, so a policy in a 16-bit dtype is loaded in float32 and computes in its dtype
    (autocast). DeepSpeed keeps float32 master weights and places the model itself. With an adapter, the frozen policy
    stays in its dtype and the adapter's weights are float32. seed: of the adapter's random weights.
    """
    place, config = "cpu" if deepspeed else device, config_without_noise(policy)
    if adapter is not None:
        model = load_frozen(policy, adapter, device if adapter.quantization else place, config=config)
    else:
        model = load_model(policy if deepspeed else replace(policy, dtype="float32"), place, config=config)
    without_dropout(model)
    if gradient_checkpointing:
        # transformers renamed this method in version 5.23.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable()
    if compiled:
        compile_blocks(model)
    return model if adapter is None else with_adapter(model, adapter, seed)
