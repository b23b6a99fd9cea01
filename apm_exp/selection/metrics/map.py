"""The alignment potential, M_AP."""

import numpy as np

from apm_exp.core.ranges import Alpha
from apm_exp.core.types import PairScores
from apm_exp.selection.metrics.rescale import signed_margins


def alignment_potential(scores: PairScores, *, alpha: Alpha, rescale: bool) -> dict[str, np.ndarray]:
    """Return |explicit margin| / sigma_r - alpha * |implicit margin| / sigma_pi (paper App. D.1).

    Columns of shape P: explicit_term, implicit_term (multiplied by alpha), and value = explicit_term - implicit_term,
    all dimensionless. With rescale=False both sigmas are 1: Eq. 11 with alpha, in reward units per (nat per token), as
    beta. alpha=auto is only for settings: the caller must have replaced it with a number (alpha_rules/choose.py).
    Raises MissingRewards, and ValueError for margins that are not finite.
    """
    assert not isinstance(alpha, str), "alpha=auto was not replaced with a number"
    explicit_P, implicit_P = signed_margins(scores, rescale)
    explicit_term_P = np.abs(explicit_P)
    implicit_term_P = alpha * np.abs(implicit_P)
    value_P = explicit_term_P - implicit_term_P
    return {"explicit_term": explicit_term_P, "implicit_term": implicit_term_P, "value": value_P}
