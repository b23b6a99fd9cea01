"""M_+: by how much the implicit margin would have to grow to reach the explicit one."""

import numpy as np

from apm_exp.core.types import PairScores
from apm_exp.selection.metrics.rescale import signed_margins


def m_plus(scores: PairScores, *, rescale: bool) -> dict[str, np.ndarray]:
    """Return explicit margin - implicit margin, both signed (paper Eq. 10, with the reward model in place of r*).

    Columns of shape P: explicit_term, implicit_term, value. With rescale, each margin is divided by the same sigma as
    in `alignment_potential`; otherwise the margins are subtracted unscaled (beta = 1). Raises MissingRewards, and
    ValueError for margins that are not finite.
    """
    explicit_P, implicit_P = signed_margins(scores, rescale)
    return {"explicit_term": explicit_P, "implicit_term": implicit_P, "value": explicit_P - implicit_P}
