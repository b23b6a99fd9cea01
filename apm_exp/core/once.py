"""Deduplication of warnings over all processes of a command, as each job of a multirun has its own."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SAID = "APM_EXP_SAID"  # environment variable: the file with the hashes of a command's warnings


@contextmanager
def once_a_command() -> Iterator[None]:
    """Share the logged warnings with the processes that are started in the block; other machines log them again."""
    try:
        number, name = tempfile.mkstemp(prefix="apm_exp-said-")
    except OSError:  # without a temporary folder each process logs a warning once
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
    """A filter that passes each warning only the first time."""

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
    """Return whether no other process has logged the warning; True without a shared file."""
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
