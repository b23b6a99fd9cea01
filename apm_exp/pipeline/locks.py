"""The locks of a step below `<output_root>/.locks`: one for who builds it, one that those share who read it.

Both go with their process. A step's files are moved only by who builds it and while nobody reads them.
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
    """Hold the right to build a step; says so where another process has it."""
    lock = FileLock(_file(step, "lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("%-12s waiting for another process that builds %s", step.name, step.folder)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def reading(step: Step) -> Iterator[None]:
    """Keep everyone from moving the step's files in the block; any number of processes may do so."""
    import fcntl

    with _file(step, "read.lock").open("a+") as file:  # where a file system wants a file to be read to share it
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def not_read(step: Step) -> AbstractContextManager[object]:
    """Hold the files of a step, after waiting for those who read them."""
    return FileLock(_file(step, "read.lock"))


def _file(step: Step, suffix: str) -> Path:
    locks = step.root / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    return locks / f"{step.kind}-{step.key[:16]}.{suffix}"
