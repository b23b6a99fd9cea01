"""SIGTERM, as schedulers send it some time before they kill: the work ends where the same command can go on."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from apm_exp.core.errors import Stopped

_SECONDS_OF_ONE_CALL = 5.0  # a scheduler tells every process, and the command passes it on: several are one


def stop_on_sigterm() -> None:
    """From now on SIGTERM raises Stopped in the main thread; another one that follows at once does not."""
    last = float("-inf")

    def stop(*_: object) -> None:
        nonlocal last
        if time.monotonic() - last > _SECONDS_OF_ONE_CALL:
            last = time.monotonic()
            raise Stopped("stopped by SIGTERM; finished steps are kept; re-run the same command to resume")

    signal.signal(signal.SIGTERM, stop)


@contextmanager
def sigterm_noted() -> Iterator[Callable[[], bool]]:
    """In the block SIGTERM stops nothing; what is yielded tells whether one has come. Of the main thread only.

    One that came and was not answered by an exception has its effect when the block ends.
    """
    came: list[bool] = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append(True))
    try:
        yield lambda: bool(came)
    finally:
        signal.signal(signal.SIGTERM, before)
    if came:
        os.kill(os.getpid(), signal.SIGTERM)


_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int, by: signal.Signals) -> None:
    """Have the system send `by` to this process as soon as the process `parent`, which started it, is gone.

    Linux only; elsewhere nothing happens. Ends this process where the parent is gone already.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)
