"""A reward source with its settings and further arguments bound."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from apm_exp.core import component

RewardSource = Callable[[pa.Table], Sequence[list[float] | None]]
SCORED = "scored"


def reward_source(node: Mapping[str, Any], out: Path, runtime: Mapping[str, Any]) -> RewardSource:
    """Return the reward source of a node with its settings bound, and `runtime` and `scored` if it has such parameters.

    runtime: the runtime node. scored: a folder in the stage's `out` in which the source saves its scores, so that a
    killed attempt can resume; the stage removes it after writing the rewards. Raises ValueError as component.bind.
    """
    source = component.bind("reward", node)
    wanted = component.positional_names(source.func)
    arguments: dict[str, Any] = {"runtime": runtime} if "runtime" in wanted else {}
    if "scored" in wanted:
        arguments["scored"] = out / SCORED
        arguments["scored"].mkdir(exist_ok=True)
    return partial(source, **arguments)
