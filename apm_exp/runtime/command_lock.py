"""A command and its jobs in processes of a launcher's: they end with it, in good order, however it ends.

The command holds a lock while its jobs are to go on. Each worker waits for that lock in a thread: it gets it as soon as
the command lets go of it (Ctrl-C, SIGTERM) or is gone (then the system does), and tells itself to stop.
"""

import os
import signal
import threading
import time
from pathlib import Path
from typing import IO

COMMAND = "APM_EXP_COMMAND"  # in the environment of jobs: the file that their command holds
_ENDING = {signal.SIGINT, signal.SIGTERM}
_SECONDS_TO_END = 10  # after Ctrl-C or SIGTERM, until told again


class Jobs:
    """The command's side: from `begin` to `end` Ctrl-C and SIGTERM end the jobs, and the command waits for them."""

    def __init__(self) -> None:
        self.file: IO[str] | None = None
        self.told: int | None = None

    def begin(self, locks: Path) -> None:
        """Hold a file in `locks`, and name it to processes that are started from now on. Of the main thread only."""
        import fcntl

        locks.mkdir(parents=True, exist_ok=True)
        path = locks / f"command-{os.getpid()}.lock"
        self.file = path.absolute().open("w")
        fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.environ[COMMAND] = self.file.name
        self.handlers = {number: signal.signal(number, self._tell) for number in _ENDING}
        # Blocked in this thread, and so in what it starts: the terminal's Ctrl-C reaches a launcher's idle process too,
        # which would die of it, and the launcher would kill all others for that.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def _listen(self) -> None:
        while self.file:
            self._tell(signal.sigwait(_ENDING))

    def _tell(self, number: int, *_: object) -> None:
        if self.file and self.told is None:
            self.told = int(number)
            self.file.write(str(self.told))
            self.file.close()  # which lets go of the lock

    def end(self) -> int:
        """The jobs are over; returns the exit code: 0, 130 (Ctrl-C) or 143 (SIGTERM)."""
        if file := self.file:
            self.file = None
            signal.pthread_kill(self.listener.ident or 0, signal.SIGTERM)  # it waits for one
            self.listener.join()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
            for number, handler in self.handlers.items():
                signal.signal(number, handler)
            file.close()
            Path(file.name).unlink(missing_ok=True)
            os.environ.pop(COMMAND, None)
        return 128 + self.told if self.told else 0


jobs = Jobs()


def end_of_command(*, wait: bool = False) -> int | None:
    """How the command of this job ended: by SIGINT, SIGTERM, or without a word, which counts as SIGKILL.

    None while it goes on, and where this process does not depend on one. wait: until it ends.
    """
    import fcntl

    name = os.environ.get(COMMAND)
    if name is None:
        return None
    try:
        with open(name) as file:
            fcntl.flock(file, fcntl.LOCK_SH | (0 if wait else fcntl.LOCK_NB))
            return int(file.read() or signal.SIGKILL)
    except FileNotFoundError:
        return signal.SIGKILL
    except BlockingIOError:
        return None


def stop_with_command() -> None:
    """Have this process stopped when its command is over: by SIGINT where that ended it, else SIGTERM."""
    if COMMAND in os.environ:
        threading.Thread(target=_stop, daemon=True).start()


def _stop() -> None:
    number = signal.SIGINT if end_of_command(wait=True) == signal.SIGINT else signal.SIGTERM
    if number == signal.SIGINT:
        time.sleep(_SECONDS_TO_END)  # the terminal has told all; a second one would break off what the first began
    while True:
        os.kill(os.getpid(), number)
        time.sleep(_SECONDS_TO_END)
