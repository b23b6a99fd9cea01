"""The pairing rule `threshold`: every pair of a prompt's responses whose rewards differ enough (RS-DPO)."""

import math
from collections.abc import Sequence
from itertools import permutations
from typing import Annotated

from pydantic import Field

from apm_exp.core.ranges import Positive
from apm_exp.core.types import Refusal


def threshold(
    responses: Sequence[str], rewards: Sequence[float], *, tau: Positive, eta: Annotated[float, Field(ge=0.5, lt=1)]
) -> list[tuple[int, int]] | Refusal:
    """Return the indices of every two responses with text whose rewards r satisfy sigmoid((r_w - r_l) / tau) > eta.

    Returns a Refusal if there are none.
    """
    least = tau * math.log(eta / (1 - eta))  # the same condition on r_w - r_l, which cannot overflow
    written = [index for index, text in enumerate(responses) if text.strip()]
    pairs = [(w, lower) for w, lower in permutations(written, 2) if rewards[w] - rewards[lower] > least]
    if pairs:
        return pairs
    widest = max(rewards) - min(rewards)
    return Refusal("no pair above the threshold", f"the rewards differ by at most {widest:g}, not above {least:g}")


def most_pairs(responses: int) -> int:
    """Return how many pairs so many responses make at most."""
    return responses * (responses - 1) // 2
