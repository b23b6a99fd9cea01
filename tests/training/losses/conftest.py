"""Batches of pairs, as a loss sees them."""

from collections.abc import Callable, Sequence

import pytest
import torch

from apm_exp.core.types import PairLogps


@pytest.fixture(scope="session")
def batch() -> Callable[..., PairLogps]:
    """Builds PairLogps from lists; the policy's log-probs require a gradient."""

    def build(
        policy: tuple[Sequence[float], Sequence[float]],
        reference: tuple[Sequence[float], Sequence[float]],
        lengths: tuple[Sequence[int], Sequence[int]],
        dtype: torch.dtype = torch.float64,
    ) -> PairLogps:
        chosen, rejected = (torch.tensor(side, dtype=dtype, requires_grad=True) for side in policy)
        stored = [torch.tensor(side, dtype=dtype) for side in reference]
        return PairLogps(chosen, rejected, *stored, *(torch.tensor(side) for side in lengths))

    return build
