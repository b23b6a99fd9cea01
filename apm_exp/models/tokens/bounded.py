"""A limit on the time that foreign code may take: chat templates are programs, and some do not end."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

LIMIT = 3.0  # seconds of processor time, so that a busy machine changes nothing; a rendering takes about 1 ms


class DidNotEnd(BaseException):
    """The code under the limit took all of it. No Exception: Jinja goes on after those while it folds constants."""


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raise DidNotEnd in the code under it once it has taken so many seconds of processor time.

    A timer of the process: two system calls, where a process of its own for each rendering would take more than the
    rendering. Only the main thread can be interrupted so; code in another one is not bounded.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise DidNotEnd
