"""The uniform baseline: pairs in a random order, independent of their margins."""

from hashlib import blake2b
from typing import Annotated

import numpy as np
from pydantic import Field

from apm_exp.core.types import PairScores


def uniform(scores: PairScores, *, seed: Annotated[int, Field(ge=0)]) -> dict[str, np.ndarray]:
    """Return a random number in [0, 1) for each pair (paper Sec. 3.2). Columns of shape P: value.

    The number is a hash of the seed and the pair_id. It depends neither on the order of the rows nor on the other
    pairs, and the pairs kept at a small fraction are a subset of those kept at a larger one. Does not need rewards.
    """
    hashes = (_hash(pair_id, seed) for pair_id in scores.pair_id_P)
    return {"value": np.fromiter(hashes, np.float64, len(scores.pair_id_P))}


def _hash(pair_id: str, seed: int) -> float:
    """Return the first 53 bits of the hash (the precision of a double) as a fraction."""
    digest = blake2b(f"{seed}:{pair_id}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53
