"""A reward source with its settings and further arguments bound."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from apm_exp.core import component

Rewards = Sequence[list[float] | None]  # of each row, one number for each response
RewardSource = Callable[[pa.Table], Rewards | Mapping[str, Rewards]]
SCORED = "scored"
ALL = "all_rewards"
_TAKEN = {"pair_id", "prompt_id", "chosen_reward", "rejected_reward"}


def reward_source(
    node: Mapping[str, Any],
    out: Path,
    runtime: Mapping[str, Any],
    row_ids: Sequence[str],
    source_rewards: Mapping[str, Rewards],
) -> RewardSource:
    """Return the reward source of a node with its settings bound, and those of the arguments that are its parameters.

    These are `runtime`, the runtime node; `row_ids`, of the rows; `source_rewards`, the rewards of the other sources
    that it is made of, by name; `out`, the stage's folder, for further files; and `scored`, a folder in it in which the
    source saves its scores, so that a killed attempt can resume: the stage removes it after writing the rewards. Raises
    ValueError as component.bind.
    """
    source = component.bind("reward", node)
    wanted = component.positional_names(source.func)
    known = {"runtime": runtime, "out": out, "row_ids": row_ids, "source_rewards": source_rewards}
    arguments: dict[str, Any] = {name: value for name, value in known.items() if name in wanted}
    if "scored" in wanted:
        arguments["scored"] = out / SCORED
        arguments["scored"].mkdir(exist_ok=True)
    return partial(source, **arguments)


def columns_of(rewards: Rewards | Mapping[str, Rewards], label: str) -> dict[str, pa.ListArray]:
    """Return what a reward source has returned as columns: `all_rewards`, and the source's other ones after it.

    label: `reward._target_=...`, for messages. Raises ValueError if there is no `all_rewards`, or if another column has
    a name that rewards.parquet uses.
    """
    named = rewards if isinstance(rewards, Mapping) else {ALL: rewards}
    if ALL not in named or _TAKEN & named.keys():
        taken = ", ".join(sorted(_TAKEN))
        raise ValueError(f"{label}: the columns that it returns must include {ALL}, and none of {taken}")
    columns = {name: pa.array(column, pa.list_(pa.float64())) for name, column in named.items()}
    return {ALL: columns.pop(ALL), **columns}
