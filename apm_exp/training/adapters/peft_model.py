"""Adapters of a policy, by peft: beside its frozen weights for training, read again from a folder, and merged."""

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


def load_frozen(policy: Policy, adapter: Adapter, device: str, **more: Any) -> Any:
    """The policy's model as the adapter has it: in the policy's dtype, or rounded to 4 bits. more: for load_model."""
    if adapter.quantisation is None:
        return load_model(policy, device, **more)
    from transformers import BitsAndBytesConfig

    compute = getattr(torch, policy.dtype)
    rounding = BitsAndBytesConfig(**adapter.quantisation, bnb_4bit_compute_dtype=compute)
    return load_model(policy, device, quantization_config=rounding, device_map={"": device}, **more)


def with_adapter(model: Any, adapter: Adapter, seed: int) -> Any:
    """The model as a PeftModel, of which only the adapter is trained. seed: of the adapter's random weights.

    Raises a one-line ValueError where the model has none of the layers that are named, or shares one of them.
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
            f"{label}: {library_error(error)}; take all-linear, or of the model's layers {layers}"
        ) from error
    if found := shared & set(adapted.targeted_module_names):
        raise ValueError(
            f"{label}: {min(found)} shares its weights with another layer, so a sum would change both; leave it out"
        )
    return adapted


def tied_layers(model: Any) -> set[str]:
    """The names of the embedding and the output head, where they are one tensor."""
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    if ends[1] is None or ends[0].weight is not ends[1].weight:
        return set()
    return {name for name, one in model.named_modules() if any(one is end for end in ends)}


def linear_layers(model: nn.Module) -> list[str]:
    """The last parts of the names of the model's linear layers."""
    return sorted({name.rpartition(".")[2] for name, one in model.named_modules() if isinstance(one, nn.Linear)})


def open_adapter(folder: Path, policy: Policy, adapter: Adapter, device: str) -> Any:
    """The PeftModel of a saved adapter on its policy, whose 4-bit weights become the numbers that they stand for."""
    from peft import PeftModel

    frozen = load_frozen(policy, adapter, device)
    if adapter.quantisation is not None:
        frozen = frozen.dequantize(dtype=getattr(torch, policy.dtype))
    with _quiet():
        return PeftModel.from_pretrained(frozen, str(folder))


@contextmanager
def _quiet() -> Iterator[None]:
    """peft asks models by a name that transformers 5.23 deprecates, and doubts its own rank for experts, which it has
    applied: their gate and up matrices are one, of twice the rank.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The following (rank|alpha)_pattern keys did not match", RuntimeWarning)
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield
