"""From the global batch, which is the setting, to the batch of one device and the accumulation."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Batching:
    """per_device: pairs of one forward. accumulation: forwards of one optimizer step in each process. steps: of the
    whole training.
    """

    per_device: int
    accumulation: int
    processes: int
    steps: int

    @property
    def global_batch(self) -> int:
        """Pairs of one optimizer step over all processes."""
        return self.per_device * self.accumulation * self.processes


def batching(*, pairs: int, global_batch: int, epochs: int, pairs_per_device: int, processes: int) -> Batching:
    """How `pairs` pairs are cut into forwards and steps. Every pair is used once an epoch; the last step may be small.

    A pairs_per_device above a process's share of the global batch is lowered to it. Raises ValueError, with the
    nearest global batches that do, where the global batch does not divide.
    """
    if not _divides(global_batch, pairs_per_device, processes):
        raise ValueError(
            f"trainer.global_batch={global_batch}: not a multiple of runtime.pairs_per_device={pairs_per_device} x "
            f"{processes} process{'es' if processes > 1 else ''}; "
            f"take trainer.global_batch={_nearest(global_batch, pairs_per_device, processes)}, or change the others"
        )
    share = global_batch // processes
    per_device = min(pairs_per_device, share)
    return Batching(per_device, share // per_device, processes, epochs * math.ceil(pairs / global_batch))


def _divides(global_batch: int, pairs_per_device: int, processes: int) -> bool:
    share, rest = divmod(global_batch, processes)
    return share > 0 and rest == 0 and share % min(pairs_per_device, share) == 0


def _nearest(global_batch: int, pairs_per_device: int, processes: int) -> str:
    """The next smaller global batch that divides, if there is one, and the next larger."""
    below, above = (global_batch - 1) // processes, global_batch // processes + 1  # shares of a process
    if below > pairs_per_device:
        below -= below % pairs_per_device
    if above > pairs_per_device:
        above += -above % pairs_per_device
    return " or ".join(str(share * processes) for share in (below, above) if share)
