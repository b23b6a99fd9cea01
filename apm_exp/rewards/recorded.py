"""Reward source: the rewards that came with the data."""

import pyarrow as pa
import pyarrow.compute as pc

from apm_exp.command_line import options_of


def recorded(responses: pa.Table) -> list[list[float]]:
    """The recorded rewards of each row, aligned with its responses, reward units.

    Raises ValueError, with the reward sources that there are, where rows have none.
    """
    missing = pc.sum(pc.is_null(responses["recorded_rewards"])).as_py() or 0
    if missing:
        others = ", ".join(name for name in options_of("reward") if name != "recorded")
        raise ValueError(
            f"reward=recorded: {missing} of {len(responses)} rows have no rewards; name their columns with "
            "dataset.chosen_reward= and dataset.rejected_reward=, take another reward source "
            f"(reward={others}), or a metric that needs no rewards (metric=implicit, metric=uniform)"
        )
    return responses["recorded_rewards"].to_pylist()
