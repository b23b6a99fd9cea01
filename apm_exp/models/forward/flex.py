"""Attention over a row with FlexAttention: one compiled kernel with a block mask, the fastest on a CUDA device."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from apm_exp.models.forward.attention import Layer, register
from apm_exp.models.forward.row import Row

FLEX = "flex"
COMPILED_ON = {"cuda"}  # device types; on others, FlexAttention would materialize all scores


def flex_row_attention(row: Row, query: Tensor, key: Tensor, value: Tensor, layer: Layer) -> Tensor:
    """Compute the attention of one layer over the row; shapes as in attention.py.

    Raises ValueError for attention dropout, which FlexAttention does not support.
    """
    if layer.dropout:
        problem = f"FlexAttention does not support attention dropout ({layer.dropout})"
        raise ValueError(f"model.attention=flex: {problem}; set model.attention=segments")
    # The kernel supports grouped queries only for a power of two; otherwise keys and values are repeated.
    groups = query.shape[1] // key.shape[1]
    shared = groups & (groups - 1) == 0
    if not shared:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    attend = _kernel(query.device.type, flex_attention)
    # A tensor, as the window below: captured Python numbers cannot always be compiled with dynamic shapes.
    cap = None if layer.soft_cap is None else partial(_capped, torch.tensor(layer.soft_cap, device=query.device))
    mask = block_mask(row, layer.window)
    output = attend(query, key, value, score_mod=cap, block_mask=mask, scale=layer.scale, enable_gqa=shared)
    return output.transpose(1, 2).contiguous()


def block_mask(row: Row, window: int | None) -> BlockMask:
    """Return FlexAttention's block mask of the row; created once per window."""
    if window not in row.block_mask_of:
        length, device = row.input_ids.shape[1], row.input_ids.device
        make = _kernel(device.type, create_block_mask)
        row.block_mask_of[window] = make(_rule(row, window), None, None, length, length, device=device)
    return row.block_mask_of[window]


def _rule(row: Row, window: int | None) -> Callable[..., Tensor]:
    within = None if window is None else torch.tensor(window, device=row.input_ids.device)

    def sees(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return row.sees(query, key, within)

    return sees


def _capped(cap: Tensor, score: Tensor, *place: Tensor) -> Tensor:
    return cap * torch.tanh(score / cap)


def _kernel(device_type: str, function: Callable[..., Any]) -> Callable[..., Any]:
    return _compiled(function) if device_type in COMPILED_ON else function


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function once, for rows of any length."""
    return torch.compile(function, dynamic=True)


register(FLEX, flex_row_attention)
