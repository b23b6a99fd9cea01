"""Places of rows in a batch whose prompts have one copy of keys and values each.

Shape letters as in shared_keys.py; X any.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Places:
    """Where each row stands: row r is a response to prompt of_prompt[r], whose tokens begin in column start[r].

    lengths: tokens of each prompt. column: of the present tokens; tokens of all rows that are sampled together have the
    same column, so a row that began later has no tokens in the first ones.
    """

    lengths: Sequence[int]
    of_prompt: Sequence[int]
    start: Sequence[int]
    device: torch.device
    column: int = 0
    masks: dict[int | None, Tensor | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen = [0] * len(self.lengths)
        places = []
        for prompt in self.of_prompt:
            places.append((prompt, seen[prompt]))
            seen[prompt] += 1
        self.most = max(seen, default=0)
        index = [prompt * self.most + place for prompt, place in places]
        self.in_order = index == list(range(len(seen) * self.most))
        self.index_R = torch.tensor(index, device=self.device)
        self.length_R = torch.tensor([self.lengths[prompt] for prompt in self.of_prompt], device=self.device)
        self.start_R = torch.tensor(self.start, device=self.device)

    def next_column(self) -> None:
        """Move on to the next token of each row."""
        self.column += 1
        self.masks.clear()

    def position_R(self) -> Tensor:
        """Return the position of each row's present token."""
        return self.length_R - self.start_R + self.column

    def by_prompt(self, rows: Tensor) -> Tensor:
        """Return [R, H, G, X] as [P, H, S * G, X]; places without a row are 0."""
        if not self.in_order:
            spread = rows.new_zeros((len(self.lengths) * self.most, *rows.shape[1:]))
            rows = spread.index_copy_(0, self.index_R, rows)
        return rows.unflatten(0, (-1, self.most)).transpose(1, 2).flatten(2, 3)

    def by_row(self, prompts: Tensor) -> Tensor:
        """Return [P, H, S * G, X] as [R, H, G, X]."""
        rows = prompts.unflatten(2, (self.most, -1)).transpose(1, 2).flatten(0, 1)
        return rows if self.in_order else rows[self.index_R]

    def hidden(self, window: int | None) -> Tensor | None:
        """Return which prompt tokens and columns a row must not attend to, [P, 1, S, 1, T + C], or None; cached."""
        if window not in self.masks:
            self.masks[window] = self._hidden(window)
        return self.masks[window]

    def _hidden(self, window: int | None) -> Tensor | None:
        longest = max(self.lengths)
        limit = longest + self.column + 1 if window is None else window
        within = longest + self.column - min(self.start) < limit
        if within and min(self.lengths) == longest and not any(self.start):
            return None
        at_T, at_C = (torch.arange(size, device=self.device) for size in (longest, self.column + 1))
        length_R1, start_R1 = self.length_R[:, None], self.start_R[:, None]
        hidden_RK = torch.cat([at_T >= length_R1, at_C < start_R1], 1)
        if not within:
            position_RK = torch.cat([at_T.expand(len(self.start), -1), at_C + length_R1 - start_R1], 1)
            hidden_RK |= self.position_R()[:, None] - position_RK >= limit
        return self.by_prompt(hidden_RK[:, None, None]).unflatten(2, (self.most, 1))
