"""What transformers' attention interface and a row have in common; the two ways to compute it are registered here.

Shapes: query, key and value [1, heads, T, head size]; the result [1, T, heads, head size], as transformers asks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface

from apm_exp.models.forward.row import Row

_HARMLESS = {"position_ids", "cache_position"}  # the row has the positions


@dataclass(frozen=True)
class Layer:
    """What a layer asks of its attention. scale: of query times key. dropout: a probability. window: in tokens, a
    token's own included. soft_cap: on the scaled scores (Gemma-2).
    """

    scale: float
    dropout: float
    window: int | None
    soft_cap: float | None


Attend = Callable[[Row, Tensor, Tensor, Tensor, Layer], Tensor]


def register(name: str, attend: Attend) -> None:
    """Make `attend` the attention that transformers knows by this name; for models that are given a `row`."""

    def attention(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        *,
        row: Row,
        scaling: float,
        dropout: float = 0.0,
        sliding_window: int | None = None,
        softcap: float | None = None,
        **others: Any,
    ) -> tuple[Tensor, None]:
        """Raises ValueError for what would have no effect: a tensor (sinks, biases), a window in the mask alone."""
        unknown = [name for name, given in others.items() if isinstance(given, Tensor) and name not in _HARMLESS]
        if unknown:
            raise ValueError(f"its attention takes {', '.join(unknown)}")
        if sliding_window is None and _has_window(module):
            raise ValueError("its attention has its window in the mask alone")
        return attend(row, query, key, value, Layer(scaling, dropout, sliding_window, softcap)), None

    AttentionInterface.register(name, attention)


def _has_window(module: nn.Module) -> bool:
    """Whether the configuration says that this layer sees a window; some models (PhiMoE) put it into the mask alone."""
    config = getattr(module, "config", None)
    if not getattr(config, "sliding_window", None):
        return False
    types, index = getattr(config, "layer_types", None), getattr(module, "layer_idx", None)
    return types is None or index is None or types[index] == "sliding_attention"
