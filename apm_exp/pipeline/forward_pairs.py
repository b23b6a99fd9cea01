"""Which setting of the runtime is a setting of a loss under which pairs depend on each other."""

import inspect
from collections.abc import Mapping
from typing import Any

from apm_exp.core import component
from apm_exp.runtime.settings import all_processes

Config = Mapping[str, Any]


def forward_pairs(loss: Config, global_batch: int, runtime: Config) -> int | list[int] | None:
    """What of the runtime is a setting of a loss under which pairs depend on each other; None where they do not.

    Its module's ACROSS_PAIRS says which pairs it looks at together: those of one forward of one "process", where the
    pairs of such a forward and the processes count, by which a small last batch is cut; or those of one forward of
    all "processes". Raises ValueError where it says anything else.
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
