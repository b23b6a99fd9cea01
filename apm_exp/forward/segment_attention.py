"""Attention over a row, block by block, each with torch's own attention: what a CPU does fastest, and any device can.

Shapes: query, key and value [1, heads, T, head size]; the result [1, T, heads, head size], as transformers asks.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from apm_exp.forward.row import Block, Row

SEGMENTS = "segments"
_HARMLESS = {"position_ids", "cache_position"}  # the row has the positions


def segment_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    row: Row,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention of one layer over the row. Raises ValueError for what a layer asks and this would leave out."""
    refuse_unknown(others)
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    masks = row.block_masks(sliding_window, query.dtype)
    sizes = [block.stop - block.start for block in row.blocks]
    # One split each: its backward is one concatenation, where a slice's would be a row of zeros for every block.
    queries, keys, values = (tensor.split(sizes, 2) for tensor in (query, key, value))
    found, first = [], {}
    for index, (block, mask) in enumerate(zip(row.blocks, masks, strict=True)):
        if block.causal:
            first[block.start] = index
        own = (keys[index], values[index])
        if block.prefix:
            owner = first[block.prefix_start]
            own = (_after(keys[owner], block, own[0]), _after(values[owner], block, own[1]))
        found.append(_attend(queries[index], *own, mask, scaling, dropout, softcap).transpose(1, 2))
    return torch.cat(found, 1), None


def refuse_unknown(others: Mapping[str, Any]) -> None:
    """Raise ValueError for a tensor that a layer gives its attention and that would have no effect (sinks, biases)."""
    unknown = [name for name, value in others.items() if isinstance(value, Tensor) and name not in _HARMLESS]
    if unknown:
        raise ValueError(f"its attention takes {', '.join(unknown)}")


def _after(prompted: Tensor, block: Block, own: Tensor) -> Tensor:
    """The prompt's part of an earlier block, then the block's own."""
    return torch.cat([prompted[:, :, : block.prefix], own], 2)


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float,
    dropout: float,
    softcap: float | None,
) -> Tensor:
    if softcap is None:
        causal = mask is None
        return scaled_dot_product_attention(query, key, value, mask, dropout, is_causal=causal, scale=scaling)
    scores = softcap * torch.tanh(query @ key.transpose(2, 3) * scaling / softcap)
    if mask is None:
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(hidden, float("-inf"))
    else:
        scores = scores + mask
    weights = torch.softmax(scores, -1, dtype=torch.float32).to(query.dtype)
    return torch.dropout(weights, dropout, train=True) @ value


AttentionInterface.register(SEGMENTS, segment_attention)
