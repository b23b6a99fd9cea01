"""A limit on the CPU time of foreign code: chat templates are programs, and some do not terminate."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

LIMIT = 3.0  # seconds of CPU time, so that the load of the machine has no influence; a rendering takes about 1 ms


class DidNotEnd(BaseException):
    """An exception for code that has used up its time limit.

    Not an Exception, as Jinja catches those while it folds constants.
    """


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raise DidNotEnd in the block once it has used so many seconds of CPU time.

    It uses a timer of the process: two system calls, while a separate process per rendering would cost more than the
    rendering. Only the main thread can be interrupted; code in another thread has no limit.
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
