"""The alignment potential, M_AP."""

from typing import Annotated

import numpy as np
from pydantic import Field

from apm_exp.metrics.rescale import signed_margins
from apm_exp.types import PairScores


def alignment_potential(
    scores: PairScores, *, alpha: Annotated[float, Field(ge=0, allow_inf_nan=False)], rescale: bool
) -> dict[str, np.ndarray]:
    """|explicit margin| / sigma_r - alpha * |implicit margin| / sigma_pi (paper App. D.1).

    Columns of shape P: explicit_term, implicit_term (with its factor alpha), value = explicit_term -
    implicit_term, all without unit. With rescale=False both sigmas are 1: that is Eq. 11 with alpha, in
    reward units per (nat per token), as beta. Raises MissingRewards, and ValueError for margins that are not
    finite.
    """
    explicit_P, implicit_P = signed_margins(scores, rescale)
    explicit_term_P = np.abs(explicit_P)
    implicit_term_P = alpha * np.abs(implicit_P)
    value_P = explicit_term_P - implicit_term_P
    return {"explicit_term": explicit_term_P, "implicit_term": implicit_term_P, "value": value_P}
