import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from apm_exp.training.batching import Batching
from apm_exp.training.global_batches import GlobalBatches, share, shuffled


def test_the_forwards_of_a_small_last_batch():
    """Seven pairs for two processes with forwards of two: two forwards each, 2 + 2 and 2 + 1 pairs; one pair: 1 + 0."""
    rows = [10, 11, 12, 13, 14, 15, 16]
    assert share(rows, per_device=2, processes=2, process=0) == [[10, 11], [14, 15]]
    assert share(rows, per_device=2, processes=2, process=1) == [[12, 13], [16]]
    assert share([10], per_device=2, processes=2, process=0) == [[10]]
    assert share([10], per_device=2, processes=2, process=1) == [[]]


@given(
    pairs=st.integers(1, 60), per_device=st.integers(1, 4), accumulation=st.integers(1, 4), processes=st.integers(1, 5)
)
def test_any_division_takes_the_same_global_batches(pairs, per_device, accumulation, processes):
    batches = Batching(per_device, accumulation, processes, 0)
    loaders = [GlobalBatches(pairs, batches, seed=3, process=process) for process in range(processes)]
    for epoch in (0, 1):
        for loader in loaders:
            loader.set_epoch(epoch)
        forwards = [list(loader) for loader in loaders]
        assert {len(mine) for mine in forwards} == {len(loader) for loader in loaders}
        assert max(len(forward) for mine in forwards for forward in mine) <= per_device
        for step in range(math.ceil(pairs / batches.global_batch)):
            own = slice(step * accumulation, (step + 1) * accumulation)
            taken = [row for mine in forwards for forward in mine[own] for row in forward]
            whole = slice(step * batches.global_batch, (step + 1) * batches.global_batch)
            assert sorted(taken) == sorted(shuffled(pairs, 3, epoch)[whole])


def test_the_order_is_a_random_samplers():
    drawn = list(torch.utils.data.RandomSampler(range(9), generator=torch.Generator().manual_seed(5)))
    assert shuffled(9, seed=3, epoch=2) == drawn
    assert sorted(drawn) == list(range(9))
    assert shuffled(9, seed=3, epoch=1) != drawn
