"""Handle SIGTERM, which schedulers send some time before SIGKILL: stop so that the same command can resume."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from apm_exp.core.errors import Stopped

_SECONDS_OF_ONE_CALL = 5.0  # a rank gets SIGTERM from the scheduler and from the command, which counts as one


def stop_on_sigterm() -> None:
    """Raise Stopped in the main thread on SIGTERM, but not again within a few seconds."""
    last = float("-inf")

    def stop(*_: object) -> None:
        nonlocal last
        if time.monotonic() - last > _SECONDS_OF_ONE_CALL:
            last = time.monotonic()
            raise Stopped("stopped by SIGTERM; finished steps are kept; re-run the same command to resume")

    signal.signal(signal.SIGTERM, stop)


@contextmanager
def sigterm_noted() -> Iterator[Callable[[], bool]]:
    """Defer SIGTERM inside the block, and yield a function that returns whether it was received.

    For the main thread only. If the block ends without an exception, a received SIGTERM then takes effect.
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
    """Let the system send the signal `by` to this process as soon as its parent process `parent` ends.

    Linux only; does nothing elsewhere. Ends this process if the parent has ended already.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)
