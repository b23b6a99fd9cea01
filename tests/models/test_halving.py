import pytest
import torch

from apm_exp.models.halving import fill, out_of_memory, run_halving


def halved(batches, budget, most, error=None):
    """The batches that a run with memory for items of the cost `most` together gives, and those that it was given."""
    tried = []

    def run(batch):
        tried.append(batch)
        if sum(batch) > most:
            raise error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return [item * 10 for item in batch]

    results = run_halving(run, batches, lambda item: item, budget, "group.key", lambda item: f"group.key: {item} alone")
    return list(results), tried


def test_batches_within_memory_are_run_as_they_are():
    results, tried = halved([[5, 4], [3]], budget=9, most=9)
    assert results == [([5, 4], [50, 40]), ([3], [30])]
    assert tried == [[5, 4], [3]]


def test_the_budget_is_halved_for_what_failed_and_for_all_that_follows(caplog):
    results, tried = halved([[4, 4, 4, 4], [4, 4]], budget=16, most=7)
    assert tried == [[4, 4, 4, 4], [4, 4], [4], [4], [4], [4], [4], [4]]
    assert [batch for batch, _ in results] == [[4]] * 6
    now = "out of memory: group.key is now {} instead of {}"
    assert caplog.messages == [now.format(8, 16), now.format(4, 8)]


def test_an_item_that_does_not_fit_alone_is_an_error():
    with pytest.raises(ValueError, match=r"^group.key: 6 alone$"):
        halved([[6, 1]], budget=9, most=5)


def test_other_errors_are_no_lack_of_memory():
    with pytest.raises(RuntimeError, match="shapes do not match"):
        halved([[6]], budget=9, most=5, error=RuntimeError("shapes do not match"))
    assert out_of_memory(MemoryError())
    assert out_of_memory(RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"))
    assert not out_of_memory(ValueError("out of memory"))


def test_batches_are_filled_in_order_and_a_large_item_is_one_of_its_own():
    assert fill([3, 5, 9, 1, 2], lambda item: item, 8) == [[3, 5], [9], [1, 2]]
    assert fill([], lambda item: item, 8) == []
