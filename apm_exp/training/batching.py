"""From the global batch, which is the setting, to the batch of one device and the accumulation."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Batching:
    """per_device: pairs of one forward. accumulation: forwards of one optimizer step. steps: of the whole training."""

    per_device: int
    accumulation: int
    steps: int


def batching(*, pairs: int, global_batch: int, epochs: int, pairs_per_device: int, processes: int) -> Batching:
    """How `pairs` pairs are cut into forwards and steps. Every pair is used once an epoch; the last step may be small.

    A pairs_per_device above a process's share of the global batch is lowered to it. Raises ValueError where the
    global batch does not divide.
    """
    share, rest = divmod(global_batch, processes)
    per_device = min(pairs_per_device, share)
    if rest or share % per_device:
        raise ValueError(
            f"trainer.global_batch={global_batch}: not a multiple of runtime.pairs_per_device={pairs_per_device} x "
            f"{processes} process{'es' if processes > 1 else ''}; change one of them"
        )
    return Batching(per_device, share // per_device, epochs * math.ceil(pairs / global_batch))
