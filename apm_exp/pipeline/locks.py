"""The locks of a step in `<output_root>/.locks`: an exclusive one to build it, a shared one to read it.

Both are released when their process ends. Only the process that builds a step moves its files, and only while no
process reads them.
"""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from apm_exp.pipeline.step import Step

logger = logging.getLogger(__name__)


@contextmanager
def locked(step: Step) -> Iterator[None]:
    """Hold the lock to build a step; log it if another process has the lock."""
    lock = FileLock(_file(step, "lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("%-12s waiting for another process that is building %s", step.name, step.folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def reading(step: Step) -> Iterator[None]:
    """Keep a step's files from being moved inside the block; any number of processes may hold this lock."""
    import fcntl

    with _file(step, "read.lock").open("a+") as file:  # some file systems share only locks of readable files
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def not_read(step: Step) -> AbstractContextManager[object]:
    """Return a lock that waits until no process reads the files of a step."""
    return FileLock(_file(step, "read.lock"))


def _file(step: Step, suffix: str) -> Path:
    locks = step.root / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    return locks / f"{step.kind}-{step.key[:16]}.{suffix}"
