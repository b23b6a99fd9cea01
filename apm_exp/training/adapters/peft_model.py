"""peft models: attach an adapter to frozen weights for training, and load a saved adapter."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from apm_exp.core.errors import library_error
from apm_exp.core.types import Policy
from apm_exp.models.load import load_model
from apm_exp.training.adapters.adapter import Adapter

_OF_MATRICES = 3  # dimensions of a weight: experts, rows, columns


def load_frozen(policy: Policy, adapter: Adapter, device: str, **more: Any) -> Any:
    """Load the policy's frozen model for an adapter, in the policy's dtype or quantized to 4 bits.

    more: further arguments of load_model.
    """
    if adapter.quantization is None:
        return load_model(policy, device, **more)
    from transformers import BitsAndBytesConfig

    compute = getattr(torch, policy.dtype)
    rounding = BitsAndBytesConfig(**adapter.quantization, bnb_4bit_compute_dtype=compute)
    return load_model(policy, device, quantization_config=rounding, device_map={"": device}, **more)


def with_adapter(model: Any, adapter: Adapter, seed: int) -> Any:
    """Return the model as a PeftModel in which only the adapter is trained. seed: of the adapter's random weights.

    Raises a one-line ValueError if the model has none of the target layers, or if a target layer shares its weights.
    """
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    label = f"model.adapter.target_modules={adapter.lora['target_modules']}"
    shared = tied_layers(model)
    try:
        with _quiet():
            adapted = get_peft_model(model, LoraConfig(**adapter.lora))
    except ValueError as error:
        layers = ", ".join(linear_layers(model))
        raise ValueError(
            f"{label}: {library_error(error)}; set it to all-linear or to some of the model's layers: {layers}"
        ) from error
    if tied := shared & set(adapted.targeted_module_names):
        raise ValueError(
            f"{label}: {min(tied)} shares its weights with another layer, so merging would change both; leave it out"
        )
    return adapted


def tied_layers(model: Any) -> set[str]:
    """Return the names of the embedding and the output head if they share one tensor, else an empty set."""
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    if ends[1] is None or ends[0].weight is not ends[1].weight:
        return set()
    return {name for name, module in model.named_modules() if any(module is end for end in ends)}


def linear_layers(model: nn.Module) -> list[str]:
    """Return the suffixes of the names of the model's linear layers."""
    return sorted({name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear)})


def unadapted_matrices(adapted: Any) -> dict[str, int]:
    """Return the sizes of the weights of a PeftModel that stack several matrices, typically one per expert, and have no
    adapter.

    peft adapts the experts of some models (Mixtral, Qwen3), and skips those of others (gpt-oss, Llama 4).
    """
    return {
        f"{name}.{own}": weight.numel()
        for name, module in adapted.get_base_model().named_modules()
        if "base_layer" not in name and not isinstance(module, nn.Conv1d | nn.Conv2d)
        for own, weight in module.named_parameters(recurse=False)
        if weight.ndim == _OF_MATRICES and min(weight.shape) > 1 and not weight.requires_grad
    }


def open_adapter(folder: Path, policy: Policy, adapter: Adapter, device: str) -> Any:
    """Load a saved adapter onto its policy as a PeftModel. 4-bit weights are dequantized to make merging possible."""
    from peft import PeftModel

    frozen = load_frozen(policy, adapter, device)
    if adapter.quantization is not None:
        frozen = frozen.dequantize(dtype=getattr(torch, policy.dtype))
    with _quiet():
        return PeftModel.from_pretrained(frozen, str(folder))


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress two peft warnings that do not apply here.

    peft calls a method that transformers 5.23 deprecates. It also warns about rank patterns for mixture-of-experts
    layers, which it has in fact applied: their gate and up projections are one matrix of twice the rank.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The following (rank|alpha)_pattern keys did not match", RuntimeWarning)
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield
