"""The memory of a training with an adapter: most weights are frozen, few are trained beside them."""

from dataclasses import dataclass, replace
from typing import Any

from apm_exp.models.shape import Shape
from apm_exp.training.adapters.adapter import Adapter

_FLOAT32 = 4
_BLOCK, _BLOCKS = 64, 256  # weights that share a scale; scales that share one where those are rounded too


@dataclass(frozen=True)
class Frozen:
    """weights: bytes of all that is not trained. a_token: bytes that the adapter keeps of a token of the forward.
    results: bytes of a token that each of its matrices gives.
    """

    weights: int
    a_token: int
    results: tuple[int, ...]


def adapt(shape: Shape, model: Any, adapter: Adapter, bytes_of_dtype: int) -> tuple[Shape, Frozen]:
    """Return the shape with only the adapter's matrices trained, and the frozen part.

    model: of that shape, on torch's meta device; it is given the adapter, and is not for use after. Raises ValueError
    as with_adapter does.
    """
    import torch

    from apm_exp.training.adapters.peft_model import with_adapter

    with torch.device("meta"):
        adapted = with_adapter(model, adapter, seed=0)
    trained = [weight for weight in adapted.parameters() if weight.requires_grad]
    entered = [weight.shape[1] for name, weight in adapted.named_parameters() if "lora_A" in name]
    matrices = sum(weight.numel() for weight in map(_matrix, adapted.modules()) if weight is not None)
    rounded = matrices if adapter.quantization else 0
    changed = replace(
        shape,
        trainable=sum(weight.numel() for weight in trained),
        largest=max(weight.numel() for weight in trained),
        factored=sum(sum(weight.shape) for weight in trained),
    )
    weights = (shape.parameters - rounded) * bytes_of_dtype + int(rounded * _four_bits(adapter))
    left = (weight.shape[0] * bytes_of_dtype for name, weight in adapted.named_parameters() if "lora_B" in name)
    return changed, Frozen(weights, _kept(adapter, entered, bytes_of_dtype), tuple(left))


def _matrix(module: Any) -> Any:
    """Return the weight that an adapted layer can have in 4 bits; None for experts, whose weights are one tensor."""
    return getattr(getattr(module, "base_layer", None), "weight", None)


def _four_bits(adapter: Adapter) -> float:
    """Return the bytes of a weight that is rounded to 4 bits, with its share of the scales."""
    if not (adapter.quantization or {}).get("bnb_4bit_use_double_quant"):
        return 0.5 + _FLOAT32 / _BLOCK
    return 0.5 + 1 / _BLOCK + _FLOAT32 / _BLOCK / _BLOCKS


def _kept(adapter: Adapter, entered: list[int], bytes_of_dtype: int) -> int:
    """Return the bytes per token that an adapter keeps.

    They are the output of each A in float32, and its input if that is a copy (a cast; dropout and its mask).
    """
    cast = _FLOAT32 if bytes_of_dtype < _FLOAT32 else 0
    dropped = _FLOAT32 + 1 if adapter.lora["lora_dropout"] else 0
    return len(entered) * adapter.lora["r"] * _FLOAT32 + sum(entered) * (cast + dropped)
