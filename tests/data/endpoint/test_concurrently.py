"""Tasks in threads: each result once, and what an error or an impatient reader leaves."""

import time
from threading import Event, Lock

import pytest

from apm_exp.data.endpoint.concurrently import Cancelled, concurrently


def test_each_task_is_done_once_and_its_result_yielded_when_it_ends():
    def work(task: int) -> int:
        time.sleep(0.05 if task == 0 else 0)
        return task * task

    results = list(concurrently(range(200), work, 8, Event()))
    assert sorted(results) == [task * task for task in range(200)]
    assert results[0] != 0  # the slow one is not waited for


def test_after_an_error_no_task_begins_and_the_results_of_those_that_have_begun_come_first():
    begun, lock, stopping = [], Lock(), Event()

    def work(task: int) -> int:
        with lock:
            begun.append(task)
        time.sleep(0.02 if task == 2 else 0.1)
        if task == 2:
            raise ValueError("the third")
        return task

    results = []
    with pytest.raises(ValueError, match="the third"):
        results.extend(each for each in iter_into(results, concurrently(range(100), work, 4, stopping)))
    assert sorted(begun) == [0, 1, 2, 3]
    assert sorted(results) == [0, 1, 3]
    assert stopping.is_set()


def iter_into(results, items):
    for item in items:
        results.append(item)
    yield from ()


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
