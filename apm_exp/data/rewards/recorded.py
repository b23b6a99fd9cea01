"""Reward source: the rewards that came with the data."""

import pyarrow as pa

from apm_exp.core.conf import options_of


def recorded(responses: pa.Table) -> list[list[float] | None]:
    """The recorded rewards of each row, aligned with its responses, reward units; None for a row without.

    Raises ValueError, with the reward sources that there are, if no row has any.
    """
    if len(responses) and responses["recorded_rewards"].null_count == len(responses):
        others = ", ".join(name for name in options_of("reward") if name != "recorded")
        raise ValueError(
            f"reward=recorded: none of {len(responses)} rows has rewards; name their columns with "
            "dataset.chosen_reward= and dataset.rejected_reward=, take another reward source "
            f"(reward={others}), or a metric that needs no rewards (metric=implicit, metric=uniform)"
        )
    return responses["recorded_rewards"].to_pylist()
