"""How much goes through a model in a step, and how much a step can have of everything."""

from collections.abc import Mapping
from dataclasses import dataclass

Counts = Mapping[str, int | float]
Lengths = tuple[int, int, int]  # tokens of a pair's prompt, chosen and rejected response


@dataclass(frozen=True)
class Work:
    """forwards: of one pair (its prompt once, with both responses) or one sampled response. tokens: None is unknown."""

    forwards: int
    tokens: int | None
    exact: bool
