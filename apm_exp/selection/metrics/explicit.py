"""The explicit reward margin, M_r: a larger margin is kept first."""

import numpy as np

from apm_exp.core.types import PairScores
from apm_exp.selection.margins import finite


def explicit_reward_margin(scores: PairScores) -> dict[str, np.ndarray]:
    """M_r = |explicit margin| (paper App. D.1). Columns of shape P: value, in reward units.

    Raises MissingRewards where the pairs have no rewards, ValueError for margins that are not finite.
    """
    return {"value": np.abs(finite(scores.explicit_margin_P, scores.pair_id_P, "explicit"))}
