"""A reward source that is made of several nodes."""

from typing import Any

import pyarrow as pa


def mean_of(responses: pa.Table, *, sources: dict[str, Any], weight: float) -> list[list[float] | None]:
    """Stand for a reward that is made of several nodes."""
    raise NotImplementedError
