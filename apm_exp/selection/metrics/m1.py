"""M_1: the absolute difference of the two margins."""

import numpy as np

from apm_exp.core.types import PairScores
from apm_exp.selection.metrics.rescale import signed_margins


def m1(scores: PairScores, *, rescale: bool) -> dict[str, np.ndarray]:
    """Return |explicit margin - implicit margin|, both signed (paper Eq. 9, with the reward model in place of r*).

    Columns of shape P: explicit_term, implicit_term, value. With rescale, each margin is divided by the same sigma as
    in `alignment_potential`; otherwise the margins are subtracted unscaled (beta = 1). Raises MissingRewards, and
    ValueError for margins that are not finite.
    """
    explicit_P, implicit_P = signed_margins(scores, rescale)
    value_P = np.abs(explicit_P - implicit_P)
    return {"explicit_term": explicit_P, "implicit_term": implicit_P, "value": value_P}
