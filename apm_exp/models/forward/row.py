"""The row: prompts and their responses concatenated into one sequence, each prompt once, without padding.

Shape letters: T tokens of the row, R response tokens (of all responses, concatenated), N responses.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

TILE = 128  # tokens; prompts with their responses that are shorter share one block of attention

Prompted = tuple[Sequence[int], Sequence[Sequence[int]]]  # a prompt and its responses


@dataclass(frozen=True)
class Block:
    """Tokens [start, stop) of the row, which attend to each other and to `prefix` tokens from `prefix_start`.

    causal: plain causal attention within the block is correct, so that no mask is needed.
    """

    start: int
    stop: int
    prefix_start: int = 0
    prefix: int = 0
    causal: bool = False


@dataclass(eq=False)
class Row:
    """One batch as a row. The last token of a response is only predicted, so it is not in the row.

    input_ids, position_ids: [1, T]; positions of each response continue those of its prompt. prompt_T numbers the
    prompts; response_T numbers the responses of a prompt from 1, with 0 for the prompt itself. source_R: the index in
    the row of the token that predicts a response token; token_R: that response token. lengths_N: tokens of each
    response.
    """

    input_ids: Tensor
    position_ids: Tensor
    prompt_T: Tensor
    response_T: Tensor
    source_R: Tensor
    token_R: Tensor
    lengths_N: list[int]
    blocks: list[Block]
    masks: dict[tuple[int | None, torch.dtype], list[Tensor | None]] = field(default_factory=dict)
    block_mask_of: dict[int | None, Any] = field(default_factory=dict)

    @cached_property
    def index_T(self) -> Tensor:
        """Return the index of each token in the row."""
        return torch.arange(self.prompt_T.shape[0], device=self.prompt_T.device)

    def sees(self, query: Tensor, key: Tensor, window: int | Tensor | None) -> Tensor:
        """Return whether the tokens at `query` attend to those at `key` (indices of broadcastable shapes), as booleans.

        window: a token attends to itself and the window - 1 tokens before it.
        """
        position_T = self.position_ids[0]
        together = self.prompt_T[query] == self.prompt_T[key]
        branch = (self.response_T[key] == 0) | (self.response_T[key] == self.response_T[query])
        seen = together & branch & (key <= query)
        return seen if window is None else seen & (position_T[query] - position_T[key] < window)

    def block_masks(self, window: int | None, dtype: torch.dtype) -> list[Tensor | None]:
        """Return one additive mask [queries, keys] per block, prefix first, or None for a causal block; cached."""
        if (window, dtype) not in self.masks:
            self.masks[window, dtype] = [self._mask(block, window, dtype) for block in self.blocks]
        return self.masks[window, dtype]

    def _mask(self, block: Block, window: int | None, dtype: torch.dtype) -> Tensor | None:
        if block.causal and (window is None or block.stop - block.start <= window):
            return None
        query, prefix_end = self.index_T[block.start : block.stop], block.prefix_start + block.prefix
        key = torch.cat([self.index_T[block.prefix_start : prefix_end], query])
        hidden = ~self.sees(query[:, None], key, window)
        return torch.zeros(hidden.shape, dtype=dtype, device=query.device).masked_fill_(hidden, float("-inf"))


def make_row(prompts: Sequence[Prompted], device: torch.device) -> Row:
    """Create the row of a batch on a device. Raises ValueError for an empty prompt or response."""
    refuse_empty(prompts)
    parts = list(_parts(prompts))
    starts = [0, *accumulate(len(part.ids) for part in parts)]
    width = torch.tensor([len(part.ids) for part in parts])
    first = torch.tensor([part.position for part in parts]) - torch.tensor(starts[:-1])
    total = starts[-1]

    def on_device(tensor: Tensor) -> Tensor:
        return tensor.to(device, non_blocking=True)

    return Row(
        input_ids=on_device(torch.tensor([[token for part in parts for token in part.ids]])),
        position_ids=on_device((torch.arange(total) + first.repeat_interleave(width))[None]),
        prompt_T=on_device(torch.tensor([part.prompt for part in parts]).repeat_interleave(width)),
        response_T=on_device(torch.tensor([part.response for part in parts]).repeat_interleave(width)),
        source_R=on_device(_sources(prompts)),
        token_R=on_device(torch.tensor([token for _, responses in prompts for ids in responses for token in ids])),
        lengths_N=[len(response) for _, responses in prompts for response in responses],
        blocks=list(_blocks(prompts)),
    )


def refuse_empty(prompts: Sequence[Prompted]) -> None:
    """Raise ValueError if a prompt or a response has no tokens."""
    if not all(prompt and responses and all(responses) for prompt, responses in prompts):
        raise ValueError("a pair with an empty prompt or an empty response has no log-probability")


@dataclass(frozen=True)
class _Part:
    ids: Sequence[int]
    prompt: int
    response: int
    position: int


def _parts(prompts: Sequence[Prompted]) -> Iterator[_Part]:
    for number, (prompt, responses) in enumerate(prompts):
        yield _Part(prompt, number, 0, 0)
        for index, response in enumerate(responses, start=1):
            yield _Part(response[:-1], number, index, len(prompt))


def _sources(prompts: Sequence[Prompted]) -> Tensor:
    """Return source_R: the prompt's last token predicts a response's first token, the response's tokens the others."""
    places: list[Tensor] = []
    start = 0
    for prompt, responses in prompts:
        last, start = start + len(prompt) - 1, start + len(prompt)
        for response in responses:
            stop = start + len(response) - 1
            places += [torch.tensor([last]), torch.arange(start, stop)]
            start = stop
    return torch.cat(places)


def _blocks(prompts: Sequence[Prompted]) -> Iterator[Block]:
    """Yield the attention blocks of the row in order: short neighbors share one, a long prompt has its own."""
    start = waiting = 0  # a tile that is not full yet: row[start : start + waiting]
    for prompt, responses in prompts:
        rest = [len(response) - 1 for response in responses]
        whole = len(prompt) + sum(rest)
        if waiting and waiting + whole > TILE:
            yield Block(start, start + waiting)
            start, waiting = start + waiting, 0
        if whole <= TILE:
            waiting += whole
            continue
        yield from _long(start, len(prompt), rest)
        start += whole
    if waiting:
        yield Block(start, start + waiting)


def _long(start: int, prompt: int, rest: Sequence[int]) -> Iterator[Block]:
    """Yield the prompt with its first response; then the others, short neighbors in one block, which attend to the
    prompt and to themselves.
    """
    stop = start + prompt + rest[0]
    yield Block(start, stop, causal=True)
    waiting = 0
    for length in rest[1:]:
        if waiting and waiting + length > TILE:
            yield Block(stop, stop + waiting, start, prompt)
            stop, waiting = stop + waiting, 0
        waiting += length
    if waiting:
        yield Block(stop, stop + waiting, start, prompt)
