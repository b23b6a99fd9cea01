"""The keep rule `weighted_sample`: a random sample of the pairs in proportion to their values, as eva draws prompts."""

from hashlib import blake2b
from typing import Annotated

import numpy as np
from pydantic import Field

from apm_exp.core.pair_ids import PairIds
from apm_exp.selection.keep.ranking import highest, numbers

WEIGHTS = True  # the values are weights, so that a metric with negative ones is refused before any work


def weighted_sample(
    value_P: np.ndarray,
    pair_id_P: np.ndarray | PairIds,
    *,
    k: Annotated[int, Field(ge=1)],
    seed: Annotated[int, Field(ge=0)],
) -> np.ndarray:
    """Return True for k pairs that are drawn without replacement, each draw in proportion to the values, shape P.

    The values are weights (eva, arXiv 2411.00062, uses max - min reward). Each pair gets a random number u in (0, 1),
    a hash of the seed and its pair_id, and the k pairs with the largest log(u) / value are kept, which is this
    distribution (Efraimidis and Spirakis, 2006, algorithm A). Raises ValueError if a value is negative or NaN, or if
    fewer than k are above 0.
    """
    weight_P = numbers(value_P, pair_id_P)
    if np.isposinf(weight_P).all():  # the preflight, before any value is known
        return highest(weight_P, pair_id_P, _checked(k, weight_P))
    if (negative_P := weight_P < 0).any():
        problem = f"{int(negative_P.sum()):,} of {weight_P.size:,} values are negative, and values are the weights"
        raise ValueError(f"keep=weighted_sample: {problem}; use metric=explicit, or keep=top_k")
    _checked(k, weight_P)
    uniform_P = np.fromiter((_uniform(each, seed) for each in pair_id_P), np.float64, weight_P.size)
    with np.errstate(divide="ignore"):
        return highest(np.log(uniform_P) / weight_P, pair_id_P, k)


def _checked(k: int, weight_P: np.ndarray) -> int:
    """Return k. Raises ValueError if there are fewer pairs with a weight above 0."""
    above = int((weight_P > 0).sum())
    if k > above:
        problem = f"there are only {above:,} pairs with a value above 0"
        raise ValueError(f"keep.k={k}: {problem}; set at most keep.k={above}")
    return k


def _uniform(pair_id: str, seed: int) -> float:
    """Return a number in (0, 1), the middle of one of 2**52 equal parts, from a hash of the seed and the pair_id."""
    digest = blake2b(f"weighted_sample {seed}:{pair_id}".encode(), digest_size=8).digest()
    return ((int.from_bytes(digest, "big") >> 12) + 0.5) / 2**52


def most_kept(pairs: int, *, k: int) -> int:
    """Return how many of so many pairs are kept."""
    return min(pairs, k)


def fewest_pairs(*, k: int) -> int:
    """Return the fewest pairs of which that many can be kept."""
    return k
