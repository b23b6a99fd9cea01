"""Which pairs each forward takes: the same global batches in the same order, whatever the number of processes."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from apm_exp.training.batching import Batching


def shuffled(pairs: int, seed: int, epoch: int) -> list[int]:
    """The order of an epoch: the rows 0 to pairs - 1, as accelerate's seedable sampler draws them."""
    return torch.randperm(pairs, generator=torch.Generator().manual_seed(seed + epoch)).tolist()


def share(rows: Sequence[int], per_device: int, processes: int, process: int) -> list[list[int]]:
    """The forwards of one process in a global batch of `rows`: the same number of them in every process.

    The rows are cut into pieces of nearly equal size, which the processes take in turn. In a small last batch a
    process's piece may be empty; that forward is made all the same, for nothing.
    """
    pieces = processes * math.ceil(len(rows) / (processes * per_device))
    cuts = [math.ceil(len(rows) * piece / pieces) for piece in range(pieces + 1)]
    return [list(rows[cuts[piece] : cuts[piece + 1]]) for piece in range(process, pieces, processes)]


class GlobalBatches(Sampler[list[int]]):
    """The rows of each forward of one process, an epoch a time. seed: of the order."""

    def __init__(self, pairs: int, batches: Batching, seed: int, process: int) -> None:
        self.pairs, self.batches, self.seed, self.process, self.epoch = pairs, batches, seed, process, 0

    def set_epoch(self, epoch: int) -> None:
        """Another epoch, another order."""
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
    """A loader of GlobalBatches that hears from the trainer which epoch it is."""

    def set_epoch(self, epoch: int) -> None:
        """Pass the epoch on."""
        assert isinstance(self.batch_sampler, GlobalBatches)
        self.batch_sampler.set_epoch(epoch)
