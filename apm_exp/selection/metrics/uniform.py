"""The uniform baseline: pairs in a random order that looks at no margin."""

from hashlib import blake2b
from typing import Annotated

import numpy as np
from pydantic import Field

from apm_exp.core.types import PairScores


def uniform(scores: PairScores, *, seed: Annotated[int, Field(ge=0)]) -> dict[str, np.ndarray]:
    """A random number in [0, 1) for each pair (paper Sec. 3.2). Columns of shape P: value.

    It is a hash of the seed and the pair_id, so it depends neither on the order of the rows nor on which
    other pairs there are, and the pairs kept at a small fraction are among those kept at a larger one. Needs
    no rewards.
    """
    hashes = (_hash(pair_id, seed) for pair_id in scores.pair_id_P)
    return {"value": np.fromiter(hashes, np.float64, len(scores.pair_id_P))}


def _hash(pair_id: str, seed: int) -> float:
    """The first 53 bits of the hash (what a double holds exactly), as a fraction."""
    digest = blake2b(f"{seed}:{pair_id}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53
