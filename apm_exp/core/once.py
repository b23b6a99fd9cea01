"""A warning is said once a command, whichever of its processes has it: each job of a multirun has one of its own."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SAID = "APM_EXP_SAID"  # the file of a command's warnings, which its processes find in their environment


@contextmanager
def once_a_command() -> Iterator[None]:
    """In the block the processes that are started share what was said. A job on another machine says it again."""
    try:
        number, name = tempfile.mkstemp(prefix="apm_exp-said-")
    except OSError:  # no folder for it: each process says it once
        name = ""
    else:
        os.close(number)
    os.environ[SAID] = name
    try:
        yield
    finally:
        del os.environ[SAID]
        if name:
            Path(name).unlink(missing_ok=True)


class Once(logging.Filter):
    """Lets a warning through the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        text = record.getMessage()
        new = text not in self.said and _new_in_command(text)
        self.said.add(text)
        return new


def _new_in_command(text: str) -> bool:
    """Whether no other process has said it; True if there is no such file here."""
    import fcntl

    line = hashlib.sha256(text.encode(errors="replace")).hexdigest() + "\n"
    try:
        with Path(os.environ.get(SAID, "")).open("r+") as said:
            fcntl.flock(said, fcntl.LOCK_EX)
            new = line not in said.readlines()
            if new:
                said.write(line)
        return new
    except OSError:
        return True
