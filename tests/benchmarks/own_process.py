"""A work in a process of its own: what one contender sets for its process (how memory is kept) reaches no other."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

Work = Callable[[], object]
_loaded: list[Work] = []


@contextmanager
def in_own_process(make: Callable[[], Work]) -> Iterator[Work]:
    """A work that is run where it was loaded; run there once before it is given out. `make` must be picklable."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=_load, initargs=(make,)) as process:
        work = lambda: process.submit(_run).result()  # noqa: E731
        work()
        yield work


def _load(make: Callable[[], Work]) -> None:
    _loaded.append(make())


def _run() -> None:
    _loaded[0]()
