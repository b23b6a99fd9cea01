"""Scores of a few pairs, as a metric sees them."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from apm_exp.core.types import PairScores


@pytest.fixture(scope="session")
def scores() -> Callable[..., PairScores]:
    """Builds PairScores from signed margins; pair_ids are p0, p1, ... unless given."""

    def build(
        explicit: Sequence[float] | None, implicit: Sequence[float], ids: Sequence[str] | None = None
    ) -> PairScores:
        pair_id_P = np.array(ids if ids is not None else [f"p{row}" for row in range(len(implicit))], object)
        explicit_P = None if explicit is None else np.asarray(explicit, dtype=float)
        return PairScores(pair_id_P, explicit_P, np.asarray(implicit, dtype=float))

    return build
