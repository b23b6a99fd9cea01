"""Tasks in threads: each result once, and what an error or an impatient reader leaves."""

import time
from threading import Barrier, Event

import pytest

from apm_exp.data.endpoint.concurrently import Cancelled, concurrently


def test_each_task_is_done_once_and_its_result_yielded_when_it_ends():
    last = Event()

    def work(task: int) -> int:
        if task == 0:
            assert last.wait(10)
        if task == 199:
            last.set()
        return task * task

    results = list(concurrently(range(200), work, 8, Event()))
    assert sorted(results) == [task * task for task in range(200)]
    assert results[-1] == 0 or results.index(0) > 100  # it is not waited for


def test_after_an_error_no_task_begins_and_the_results_of_those_that_have_begun_come_first():
    begun, all_have_begun, stopping = [], Barrier(4), Event()

    def work(task: int) -> int:
        begun.append(task)
        all_have_begun.wait(10)
        if task == 2:
            raise ValueError("the third")
        assert stopping.wait(10)
        return task

    results = []
    with pytest.raises(ValueError, match="the third"):
        collect(concurrently(range(100), work, 4, stopping), results)
    assert sorted(begun) == [0, 1, 2, 3]
    assert sorted(results) == [0, 1, 3]
    assert stopping.is_set()


def collect(items, results):
    for item in items:
        results.append(item)


def test_a_reader_that_leaves_stops_the_tasks():
    stopping, done = Event(), []

    def work(task: int) -> int:
        if task > 3 and stopping.wait(5):
            raise Cancelled
        done.append(task)
        return task

    results = concurrently(range(100), work, 2, stopping)
    next(results)
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 2
    assert len(done) <= 4


def test_no_tasks_have_no_results():
    assert list(concurrently([], lambda task: task, 4, Event())) == []


def test_no_task_is_begun_while_the_caller_has_not_dealt_with_as_many_results_as_there_are_workers() -> None:
    """A kill then loses at most these: what the caller has is on disk before it asks for the next result."""
    begun: list[int] = []

    def work(task: int) -> int:
        begun.append(task)
        return task

    results = concurrently(range(20), work, 3, Event())
    for dealt_with in range(5):
        next(results)
        time.sleep(0.02)
        assert len(begun) <= 3 + dealt_with
    assert len(list(results)) == 15
