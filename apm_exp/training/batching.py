"""Batch sizes: the per-device batch and the gradient accumulation that give the configured global batch."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Batching:
    """The batch sizes of a training.

    per_device: pairs per forward. accumulation: forwards per optimizer step in each process. steps: optimizer steps of
    the whole training.
    """

    per_device: int
    accumulation: int
    processes: int
    steps: int

    @property
    def global_batch(self) -> int:
        """Return the number of pairs in one optimizer step over all processes."""
        return self.per_device * self.accumulation * self.processes


def batching(*, pairs: int, global_batch: int, epochs: int, pairs_per_device: int, processes: int) -> Batching:
    """Return how `pairs` pairs are split into forwards and optimizer steps.

    Every pair is used once per epoch; the last batch may be smaller. A pairs_per_device larger than a process's share
    of the global batch is reduced to that share. Raises ValueError, with the nearest valid values, if the global batch
    is not divisible.
    """
    if not _divides(global_batch, pairs_per_device, processes):
        many = f"{processes} process{'es' if processes > 1 else ''}"
        multiple = f"not a multiple of runtime.pairs_per_device={pairs_per_device} x {many}"
        problem = f"cannot be divided among {many}" if global_batch % processes else multiple
        raise ValueError(
            f"trainer.global_batch={global_batch}: {problem}; "
            f"set trainer.global_batch={_nearest(global_batch, pairs_per_device, processes)}, or change the others"
        )
    share = global_batch // processes
    per_device = min(pairs_per_device, share)
    return Batching(per_device, share // per_device, processes, epochs * math.ceil(pairs / global_batch))


def _divides(global_batch: int, pairs_per_device: int, processes: int) -> bool:
    share, rest = divmod(global_batch, processes)
    return share > 0 and rest == 0 and share % min(pairs_per_device, share) == 0


def _nearest(global_batch: int, pairs_per_device: int, processes: int) -> str:
    """Return the nearest smaller (if any) and larger global batch that is divisible."""
    below, above = (global_batch - 1) // processes, global_batch // processes + 1  # pairs per process
    if below > pairs_per_device:
        below -= below % pairs_per_device
    if above > pairs_per_device:
        above += -above % pairs_per_device
    return " or ".join(str(share * processes) for share in (below, above) if share)
