"""The implicit reward margin, M_pi: a smaller margin is kept first."""

import numpy as np

from apm_exp.core.types import PairScores
from apm_exp.selection.margins import finite


def implicit_reward_margin(scores: PairScores) -> dict[str, np.ndarray]:
    """-M_pi = -|implicit margin| (paper Sec. 3.2 and App. D.1). Columns of shape P: value, in nats per token.

    Needs no rewards. Raises ValueError for margins that are not finite.
    """
    return {"value": -np.abs(finite(scores.implicit_margin_P, scores.pair_id_P, "implicit"))}
