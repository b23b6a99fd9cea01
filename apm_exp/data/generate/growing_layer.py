"""A layer of a transformers cache that appends tokens without copying the existing ones."""

from typing import Any

from torch import LongTensor, Tensor
from transformers.cache_utils import Cache, DynamicLayer

_ROOM = 64  # tokens


class GrowingLayer(DynamicLayer):
    """A DynamicLayer that allocates memory for further tokens; DynamicLayer itself copies everything at each token."""

    def __init__(self) -> None:
        super().__init__()
        self.memory: list[Tensor] | None = None  # keys and values are views of its first tokens

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append the states, and return all of them."""
        if not self.get_seq_length():
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states, value_states
            return key_states, value_states
        length = self.get_seq_length()
        total = length + key_states.shape[-2]
        if self.memory is None or self.memory[0].shape[-2] < total:
            self.memory = [_with_room(held, total + _ROOM) for held in (self.keys, self.values) if held is not None]
        for memory, states in zip(self.memory, (key_states, value_states), strict=True):
            memory[..., length:total, :] = states
        self.keys, self.values = (memory[..., :total, :] for memory in self.memory)
        return self.keys, self.values

    def reorder_cache(self, beam_idx: LongTensor) -> None:
        """Replace the rows by those with these indices; an index may occur several times."""
        super().reorder_cache(beam_idx)
        self.memory = None


def let_grow(cache: Cache) -> None:
    """Replace the plain layers of an empty cache by growing ones; layers with a window or a state are not changed."""
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]


def _with_room(held: Tensor, tokens: int) -> Tensor:
    *others, length, width = held.shape
    memory = held.new_empty((*others, tokens, width))
    memory[..., :length, :] = held
    return memory
