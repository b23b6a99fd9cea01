"""The keep rule `threshold`: keep the pairs whose value is at least a minimum."""

from typing import Annotated

import numpy as np
from pydantic import Field

from apm_exp.core.pair_ids import PairIds
from apm_exp.selection.keep.ranking import numbers


def threshold(
    value_P: np.ndarray, pair_id_P: np.ndarray | PairIds, *, minimum: Annotated[float, Field(allow_inf_nan=False)]
) -> np.ndarray:
    """Return True if the value is at least `minimum` (in the metric's unit), shape P.

    Raises ValueError if no pair would be kept, or if a value is NaN.
    """
    value_P = numbers(value_P, pair_id_P)
    kept_P = value_P >= minimum
    if not kept_P.any():
        largest = f"the highest value is {value_P.max():.6g}" if value_P.size else "as there are no pairs"
        remedy = "set a lower minimum"
        raise ValueError(f"keep.minimum={minimum}: would keep 0 of {value_P.size} pairs, {largest}; {remedy}")
    return kept_P
