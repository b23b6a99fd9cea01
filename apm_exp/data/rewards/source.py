"""A reward source, bound to what it asks for besides the responses."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from apm_exp.core import component

RewardSource = Callable[[pa.Table], Sequence[list[float] | None]]
SCORED = "scored"


def reward_source(node: Mapping[str, Any], out: Path, runtime: Mapping[str, Any]) -> RewardSource:
    """The reward source of a node with its settings, and with those of these two that its parameters name.

    runtime: the node that says how the work is run. scored: a folder in the stage's `out` for what has been scored so
    far, which is found again after a kill; the stage removes it when the rewards are written. Raises ValueError as
    component.bind.
    """
    source = component.bind("reward", node)
    wanted = component.positional_names(source.func)
    given: dict[str, Any] = {"runtime": runtime} if "runtime" in wanted else {}
    if "scored" in wanted:
        given["scored"] = out / SCORED
        given["scored"].mkdir(exist_ok=True)
    return partial(source, **given)
