"""Reward source: the rewards that the data set contains."""

import pyarrow as pa

OF_THE_DATA = True  # it cannot reward responses that are sampled here


def recorded(responses: pa.Table) -> list[list[float] | None]:
    """Return the recorded rewards of each row's responses, in reward units; None for a row without rewards."""
    return responses["recorded_rewards"].to_pylist()
