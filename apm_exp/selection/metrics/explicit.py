"""The explicit reward margin, M_r: pairs with a larger margin rank higher."""

import numpy as np

from apm_exp.core.types import PairScores
from apm_exp.selection.margins import finite


def explicit_reward_margin(scores: PairScores) -> dict[str, np.ndarray]:
    """Return M_r = |explicit margin| (paper App. D.1). Columns of shape P: value, in reward units.

    Raises MissingRewards if the pairs have no rewards, ValueError for margins that are not finite.
    """
    return {"value": np.abs(finite(scores.explicit_margin_P, scores.pair_id_P, "explicit"))}
