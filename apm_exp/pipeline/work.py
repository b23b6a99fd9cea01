"""The amount of work of a step: its forward passes and tokens."""

from collections.abc import Mapping
from dataclasses import dataclass

Counts = Mapping[str, int | float]
Lengths = tuple[int, int, int]  # tokens of a pair's prompt, chosen and rejected response


@dataclass(frozen=True)
class Work:
    """The forward passes of a step. forwards: their number; each is one pair (its prompt once, with both responses) or
    one sampled response. tokens: their total, None if unknown. exact: whether these are not upper bounds.
    """

    forwards: int
    tokens: int | None
    exact: bool
