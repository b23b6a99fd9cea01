"""Attention of responses to keys and values that exist once per prompt, and to the response's own.

Shape letters: P prompts, S places of a prompt's responses, R rows (responses), H key heads, G query heads per key head,
T tokens of the longest prompt, C columns (tokens of responses), D head size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from apm_exp.data.generate.places import Places
from apm_exp.models.forward.attention import Layer, register

SHARED_KEYS = "shared_keys"
_ROOM = 16  # columns at least, and a quarter of the present ones
KeysValues = Sequence[Tensor]  # of one layer: keys and values, [P, H, T, D] or [R, H, C, D]


class PromptsPass:
    """The forward pass of prompts, padded on the right; it collects their keys and values by layer."""

    def __init__(self) -> None:
        self.collected: dict[int, KeysValues] = {}

    def attend(self, query: Tensor, key: Tensor, value: Tensor, layer: Layer) -> Tensor:
        """Compute causal attention; no token attends to padding, which is on its right."""
        self.collected[_index(layer)] = key.contiguous(), value.contiguous()
        groups, tokens = query.shape[1] // key.shape[1], query.shape[2]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        if layer.soft_cap is None and (layer.window is None or tokens <= layer.window):
            return scaled_dot_product_attention(query, key, value, is_causal=True, scale=layer.scale).transpose(1, 2)
        at_T = torch.arange(tokens, device=query.device)
        hidden_TT = (at_T > at_T[:, None]) | (at_T <= at_T[:, None] - (layer.window or tokens))
        return (_weights(query * layer.scale @ key.transpose(2, 3), layer, hidden_TT) @ value).transpose(1, 2)


class SharedKeys:
    """The keys and values of a batch by layer, and the places of its rows, which attend to them.

    room: the columns for which there is memory.
    """

    def __init__(self, places: Places) -> None:
        self.places, self.room = places, 0
        self.of_prompts: dict[int, KeysValues] = {}
        self.own: dict[int, KeysValues] = {}

    def change(
        self, places: Places, used: Sequence[int], kept: Sequence[int], added: Sequence[dict[int, KeysValues]]
    ) -> None:
        """Keep the prompts `used` and the rows `kept` and append prompts, as the new places say.

        The first columns are dropped, as many as the new places have fewer. A layer is removed from `added` when it
        has been appended, so that no more than one layer is in memory twice.
        """
        before, self.places = self.places, places
        self.room = places.column + max(_ROOM, places.column // 4)
        columns, tokens = slice(before.column - places.column, before.column), max(places.lengths)
        same = not added and len(used) == len(before.lengths)
        used_P, kept_R = (torch.tensor(each, dtype=torch.long, device=places.device) for each in (used, kept))
        for index in list(self.of_prompts or added[0]):
            if not same:
                held = [each[used_P] for each in self.of_prompts.get(index, added[0][index] if added else ())]
                parts = zip(held, *(each.pop(index) for each in added), strict=True)
                self.of_prompts[index] = [_stacked(each, len(places.lengths), tokens, tokens) for each in parts]
            own = [each[kept_R, :, columns] for each in self.own.get(index, self.of_prompts[index])]
            self.own[index] = [_stacked([each], len(places.of_prompt), places.column, self.room) for each in own]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, layer: Layer) -> Tensor:
        """Store the keys and values of each row's present token, and compute its attention."""
        places, index = self.places, _index(layer)
        for memory, states in zip(self.own[index], (key, value), strict=True):
            memory[:, :, places.column] = states[:, :, 0]
        prompt_key, prompt_value = self.of_prompts[index]
        own_key, own_value = (memory[:, :, : places.column + 1] for memory in self.own[index])
        query_RHGD = query.unflatten(1, (key.shape[1], -1))[:, :, :, 0] * layer.scale
        to_prompt = places.by_prompt(query_RHGD) @ prompt_key.transpose(2, 3)
        to_own = places.by_prompt(query_RHGD @ own_key.transpose(2, 3))
        scores = torch.cat([to_prompt, to_own], -1).unflatten(2, (places.most, -1))
        weights = _weights(scores, layer, places.hidden(layer.window)).flatten(2, 3)
        of_prompt, of_own = weights.split([to_prompt.shape[-1], to_own.shape[-1]], -1)
        result_RHGD = places.by_row(of_prompt @ prompt_value) + places.by_row(of_own) @ own_value
        return result_RHGD.flatten(1, 2)[:, None]


def _weights(scores: Tensor, layer: Layer, hidden: Tensor | None) -> Tensor:
    """Return the softmax of scaled scores, which are overwritten."""
    if layer.soft_cap is not None:
        scores = scores.div_(layer.soft_cap).tanh_().mul_(layer.soft_cap)
    if hidden is not None:
        scores = scores.masked_fill_(hidden, float("-inf"))
    return torch.softmax(scores, -1, dtype=torch.float32).to(scores.dtype)


def _stacked(parts: Sequence[Tensor], rows: int, columns: int, room: int) -> Tensor:
    """Return [rows, H, room, D]: the parts one below another, and 0 elsewhere in the first `columns`."""
    _, heads, _, width = parts[0].shape
    memory, start = parts[0].new_empty((rows, heads, room, width)), 0
    for part in parts:
        stop, tokens = start + len(part), min(part.shape[2], columns)
        memory[start:stop, :, :tokens] = part[:, :, :tokens]
        memory[start:stop, :, tokens:columns] = 0
        start = stop
    memory[start:, :, :columns] = 0
    return memory


def _index(layer: Layer) -> int:
    """Return the layer's number. Raises ValueError if the model does not tell it."""
    if layer.index is None:
        raise ValueError("its attention layers have no numbers")
    return layer.index


def _attend(row: PromptsPass | SharedKeys, query: Tensor, key: Tensor, value: Tensor, layer: Layer) -> Tensor:
    return row.attend(query, key, value, layer)


register(SHARED_KEYS, _attend)
