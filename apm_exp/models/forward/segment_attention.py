"""Attention over a row, block by block, with torch's scaled_dot_product_attention: any device, fast on a CPU."""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from apm_exp.models.forward.attention import Layer, register
from apm_exp.models.forward.row import Block, Row

SEGMENTS = "segments"


def segment_attention(row: Row, query: Tensor, key: Tensor, value: Tensor, layer: Layer) -> Tensor:
    """Compute the attention of one layer over the row; shapes as in attention.py."""
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    masks = row.block_masks(layer.window, query.dtype)
    sizes = [block.stop - block.start for block in row.blocks]
    # One split each: its backward is one concatenation; that of slices would allocate a row of zeros for every block.
    queries, keys, values = (tensor.split(sizes, 2) for tensor in (query, key, value))
    outputs, first = [], {}
    for index, (block, mask) in enumerate(zip(row.blocks, masks, strict=True)):
        if block.causal:
            first[block.start] = index
        own = (keys[index], values[index])
        if block.prefix:
            owner = first[block.prefix_start]
            own = (_after(keys[owner], block, own[0]), _after(values[owner], block, own[1]))
        outputs.append(_attend(queries[index], *own, mask, layer).transpose(1, 2))
    return torch.cat(outputs, 1)


def _after(prompted: Tensor, block: Block, own: Tensor) -> Tensor:
    """Return the prompt's part of an earlier block followed by the block's own part."""
    return torch.cat([prompted[:, :, : block.prefix], own], 2)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, layer: Layer) -> Tensor:
    """Compute the attention of one block. mask: added to the scores; None for causal attention."""
    if layer.soft_cap is None:
        return scaled_dot_product_attention(
            query, key, value, mask, layer.dropout, is_causal=mask is None, scale=layer.scale
        )
    scores = layer.soft_cap * torch.tanh(query @ key.transpose(2, 3) * layer.scale / layer.soft_cap)
    if mask is None:
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(hidden, float("-inf"))
    else:
        scores = scores + mask
    weights = torch.softmax(scores, -1, dtype=torch.float32).to(query.dtype)
    return torch.dropout(weights, layer.dropout, train=True) @ value


register(SEGMENTS, segment_attention)
