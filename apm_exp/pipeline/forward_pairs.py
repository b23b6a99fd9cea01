"""The runtime settings that change the result of a loss which compares pairs with each other."""

import inspect
from collections.abc import Mapping
from typing import Any

from apm_exp.core import component
from apm_exp.runtime.settings import all_processes

Config = Mapping[str, Any]


def forward_pairs(loss: Config, global_batch: int, runtime: Config) -> int | list[int] | None:
    """Return the runtime settings on which the result of a loss depends; None if its pairs are independent.

    ACROSS_PAIRS in the module of a loss names the pairs that it uses together: those of one forward of one "process"
    (returned: the pairs per process and the number of processes, between which the last batch is divided), or those of
    one forward of all "processes" (returned: their number). Raises ValueError for another value.
    """
    module = inspect.getmodule(component.locate("loss", loss))
    across, processes = getattr(module, "ACROSS_PAIRS", None), all_processes(runtime)
    per_device = min(runtime["pairs_per_device"], max(1, global_batch // processes))
    match across:
        case None:
            return None
        case "process":
            return [per_device, processes]
        case "processes":
            return per_device * processes
    raise ValueError(f"loss._target_={loss['_target_']}: ACROSS_PAIRS = {across!r} in its file: 'process', 'processes'")
