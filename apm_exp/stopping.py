"""SIGTERM, as schedulers send it some time before they kill: the work ends where the same command can go on."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TERMINATED = 143  # the exit code: 128 and the number of the signal
_SECONDS_OF_ONE_CALL = 5.0  # a scheduler tells every process, and the command passes it on: several are one


class Stopped(BaseException):
    """SIGTERM ended the work. Not an Exception: nothing may take it for a failure that it can handle."""


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
