"""Do many tasks in threads, and yield each result as soon as it is ready."""

import time
from collections.abc import Callable, Generator, Iterable
from queue import SimpleQueue
from threading import Event, Lock, Semaphore, Thread
from typing import TypeVar

_SECONDS_TO_STOP = 2.0  # for tasks whose results nobody waits for
Task = TypeVar("Task")
Result = TypeVar("Result")


class Cancelled(Exception):
    """The end of a task because another one has failed, or because nobody waits for the results."""


def concurrently(
    tasks: Iterable[Task], work: Callable[[Task], Result], workers: int, stopping: Event
) -> Generator[Result, None, None]:
    """Yield the result of each task in the order in which they end.

    If one raises an error, no other is started, those that are being done are waited for, and their results are yielded
    before the error is raised. A task is begun only if fewer than `workers` are being done or have a result that the
    caller has not yet dealt with, so that a kill loses no more than these. stopping: set as soon as no more results are
    wanted; a task may then raise Cancelled.
    """
    waiting, lock, room = iter(tasks), Lock(), Semaphore(workers)
    ended: SimpleQueue[tuple[str, Result | BaseException | None]] = SimpleQueue()

    def loop() -> None:
        try:
            while room.acquire() and not stopping.is_set():  # released by the caller, once it has the result
                with lock:
                    task = next(waiting)
                ended.put(("result", work(task)))
        except (StopIteration, Cancelled):
            pass
        except BaseException as error:
            stopping.set()
            ended.put(("error", error))
        room.release()
        ended.put(("left", None))

    threads = [Thread(target=loop, daemon=True) for _ in range(workers)]
    first: BaseException | None = None
    try:
        for thread in threads:
            thread.start()
        while workers:
            kind, content = ended.get()
            if kind == "result":
                yield content  # type: ignore[misc]
                room.release()
            elif kind == "error":
                first = first or content  # type: ignore[assignment]
            else:
                workers -= 1
    finally:
        stopping.set()
        room.release(len(threads))
        deadline = time.monotonic() + _SECONDS_TO_STOP
        for thread in filter(Thread.is_alive, threads):
            thread.join(max(0.0, deadline - time.monotonic()))
    if first is not None:
        raise first
