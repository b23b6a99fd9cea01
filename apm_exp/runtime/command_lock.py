"""End the jobs that a launcher runs in other processes when their command ends, however it ends.

The command holds a lock while its jobs may run. Each worker waits for this lock in a thread, and stops itself as soon
as it gets the lock: when the command releases it (Ctrl-C, SIGTERM), or when the command dies.
"""

import os
import signal
import threading
import time
from pathlib import Path
from typing import IO

COMMAND = "APM_EXP_COMMAND"  # an environment variable of jobs: the file that their command has locked
_ENDING = {signal.SIGINT, signal.SIGTERM}
_SECONDS_TO_END = 10  # until the signal is sent again


class Jobs:
    """The command's side: from `begin` to `end`, Ctrl-C and SIGTERM stop the jobs, and the command waits for them."""

    def __init__(self) -> None:
        self.file: IO[str] | None = None
        self.told: int | None = None

    def begin(self, locks: Path) -> None:
        """Lock a file in `locks`, and pass its name to processes that are started later. For the main thread only."""
        import fcntl

        locks.mkdir(parents=True, exist_ok=True)
        path = locks / f"command-{os.getpid()}.lock"
        self.file = path.absolute().open("w")
        fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.environ[COMMAND] = self.file.name
        self.handlers = {number: signal.signal(number, self._tell) for number in _ENDING}
        # Blocked in this thread, and so in the processes that it starts: the terminal's Ctrl-C also reaches idle
        # processes of the launcher, which would die, and the launcher would then kill all others.
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
            self.file.close()  # releases the lock

    def end(self) -> int:
        """Restore the signal handlers after the jobs; return the exit code: 0, 130 (Ctrl-C) or 143 (SIGTERM)."""
        if file := self.file:
            self.file = None
            signal.pthread_kill(self.listener.ident or 0, signal.SIGTERM)  # ends its sigwait
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
    """Return the signal that ended the command of this job: SIGINT, SIGTERM, or SIGKILL if it recorded none.

    Returns None while the command runs, and if this process does not belong to one. wait: wait until it ends.
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
    """Stop this process when its command ends: with SIGINT if that ended the command, else with SIGTERM."""
    if COMMAND in os.environ:
        threading.Thread(target=_stop, daemon=True).start()


def _stop() -> None:
    number = signal.SIGINT if end_of_command(wait=True) == signal.SIGINT else signal.SIGTERM
    if number == signal.SIGINT:
        time.sleep(_SECONDS_TO_END)  # the terminal has sent SIGINT to all; a second one would interrupt the cleanup
    while True:
        os.kill(os.getpid(), number)
        time.sleep(_SECONDS_TO_END)
