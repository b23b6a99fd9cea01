"""The implicit reward margin, M_pi: pairs with a smaller margin rank higher."""

import numpy as np

from apm_exp.core.types import PairScores
from apm_exp.selection.margins import finite


def implicit_reward_margin(scores: PairScores) -> dict[str, np.ndarray]:
    """Return -M_pi = -|implicit margin| (paper Sec. 3.2 and App. D.1). Columns of shape P: value, in nats per token.

    Does not need rewards. Raises ValueError for margins that are not finite.
    """
    return {"value": -np.abs(finite(scores.implicit_margin_P, scores.pair_id_P, "implicit"))}
