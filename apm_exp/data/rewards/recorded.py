"""Reward source: the rewards that came with the data."""

import pyarrow as pa

OF_THE_DATA = True  # responses that are sampled here have none


def recorded(responses: pa.Table) -> list[list[float] | None]:
    """Return the recorded rewards of each row, aligned with its responses, reward units; None for a row without."""
    return responses["recorded_rewards"].to_pylist()
