"""The interface between transformers' attention and a Row; every implementation is registered here.

Shapes: query, key and value [1, heads, T, head size]; the result [1, T, heads, head size], as transformers requires.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface

_HARMLESS = {"position_ids", "cache_position"}  # the row has the positions


@dataclass(frozen=True)
class Layer:
    """The attention settings of a layer.

    scale: factor of query times key. dropout: a probability. window: in tokens, including the token itself. soft_cap:
    on the scaled scores (Gemma-2). index: the layer's number in the model, None if the model does not tell it.
    """

    scale: float
    dropout: float
    window: int | None
    soft_cap: float | None
    index: int | None = None


Attend = Callable[[Any, Tensor, Tensor, Tensor, Layer], Tensor]


def register(name: str, attend: Attend) -> None:
    """Register `attend` as an attention implementation of transformers, for models that are passed a `row`.

    row: a Row, or whatever else `attend` takes in its place.
    """

    def attention(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        *,
        row: Any,
        scaling: float,
        dropout: float = 0.0,
        sliding_window: int | None = None,
        softcap: float | None = None,
        **others: Any,
    ) -> tuple[Tensor, None]:
        """Compute attention over the row.

        Raises ValueError for arguments that would be ignored: a tensor (sinks, biases), or a window that is only in the
        mask.
        """
        unknown = [name for name, value in others.items() if isinstance(value, Tensor) and name not in _HARMLESS]
        if unknown:
            raise ValueError(f"its attention takes {', '.join(unknown)}")
        if sliding_window is None and _has_window(module):
            raise ValueError("its attention applies its window only in the mask")
        layer = Layer(scaling, dropout, sliding_window, softcap, getattr(module, "layer_idx", None))
        return attend(row, query, key, value, layer), None

    AttentionInterface.register(name, attention)


def _has_window(module: nn.Module) -> bool:
    """Return whether the configuration gives this layer a window; some models (PhiMoE) apply it only in the mask."""
    config = getattr(module, "config", None)
    if not getattr(config, "sliding_window", None):
        return False
    types, index = getattr(config, "layer_types", None), getattr(module, "layer_idx", None)
    return types is None or index is None or types[index] == "sliding_attention"
