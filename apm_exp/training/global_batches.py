"""The rows of each forward: the global batches and their order do not depend on the number of processes."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from apm_exp.training.batching import Batching


def shuffled(pairs: int, seed: int, epoch: int) -> list[int]:
    """Return the row order of an epoch (0 to pairs - 1), as accelerate's seedable sampler draws it."""
    return torch.randperm(pairs, generator=torch.Generator().manual_seed(seed + epoch)).tolist()


def share(rows: Sequence[int], per_device: int, processes: int, process: int) -> list[list[int]]:
    """Return the forwards of one process in a global batch of `rows`; every process gets the same number.

    The rows are split into pieces of nearly equal size, which are dealt to the processes in turn. In a small last batch
    a piece may be empty; its forward still runs, with a weight of 0, so that the processes stay in step.
    """
    pieces = processes * math.ceil(len(rows) / (processes * per_device))
    cuts = [math.ceil(len(rows) * piece / pieces) for piece in range(pieces + 1)]
    return [list(rows[cuts[piece] : cuts[piece + 1]]) for piece in range(process, pieces, processes)]


class GlobalBatches(Sampler[list[int]]):
    """A sampler of the rows of each forward of one process, one epoch at a time. seed: of the row order."""

    def __init__(self, pairs: int, batches: Batching, seed: int, process: int) -> None:
        self.pairs, self.batches, self.seed, self.process, self.epoch = pairs, batches, seed, process, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the order."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        rows, size = shuffled(self.pairs, self.seed, self.epoch), self.batches.global_batch
        for start in range(0, self.pairs, size):
            batch = rows[start : start + size]
            yield from share(batch, self.batches.per_device, self.batches.processes, self.process)

    def __len__(self) -> int:
        whole, rest = divmod(self.pairs, self.batches.global_batch)
        return whole * self.batches.accumulation + math.ceil(rest / (self.batches.per_device * self.batches.processes))


class EpochLoader(DataLoader[Any]):
    """A DataLoader of GlobalBatches to which the trainer can pass the epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Pass the epoch to the sampler."""
        assert isinstance(self.batch_sampler, GlobalBatches)
        self.batch_sampler.set_epoch(epoch)
