"""How a job that something has stopped says so: one line, and an exit code."""

import errno
import logging
import os
import sys
import traceback

from apm_exp.core.escaped import escaped, escaped_lines

logger = logging.getLogger(__name__)
# A full disk as safetensors, which has no errno, and torch's writer of checkpoints say it.
_FULL_DISK = ("No space left on device", "Disk quota exceeded", "PytorchStreamWriter failed", "inline_container.cc")
USAGE_ERROR, FAILURE, INTERRUPTED = 2, 1, 130  # and nodes.place.LOST, stopping.TERMINATED


class UsageError(ValueError):
    """What the user typed or pointed at cannot be right; nothing was done."""


def exit_code(error: BaseException | None) -> int:
    """What a worker ends with that an exception has stopped, or none."""
    if isinstance(error, NodeError):
        return error.code
    kinds = ((type(None), 0), (UsageError, USAGE_ERROR), (KeyboardInterrupt, INTERRUPTED), (Stopped, TERMINATED))
    return next((code for kind, code in kinds if isinstance(error, kind)), FAILURE)


def one_line(error: BaseException) -> str:
    """An error as one line: its text, and where it is no ValueError its type and the step that it stopped."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, BrokenPipeError):
        return "standard output: what reads it has ended before all was printed"
    text = escaped(" ".join(str(error).split())) or type(error).__name__
    if isinstance(error, ValueError | Stopped):
        return text
    where = "; ".join(getattr(error, "__notes__", []))
    return f"{type(error).__name__}: {text}" + (f" ({where})" if where else "")


def print_error(text: object) -> None:
    """Print an error of the command itself, which has no log, as one line."""
    print(f"error: {escaped(str(text))}", file=sys.stderr)


def say(error: BaseException) -> int:
    """Log an error with its remedy, as one line; returns the exit code."""
    code = exit_code(error)
    shown = bool(os.environ.get("APM_EXP_TRACEBACK"))
    if shown:
        print(escaped_lines("".join(traceback.format_exception(error))), file=sys.stderr)
    remedy = known_remedy(error)
    if remedy is None:
        remedy = ""
        if code == FAILURE and not shown:
            written = getattr(error, "__notes__", None)
            remedy = "; the traceback is in that folder's failed.txt" if written else ""
            remedy += "; HYDRA_FULL_ERROR=1 shows the traceback here"
    logger.error("%s%s", one_line(error), remedy)
    return code


def known_remedy(error: BaseException) -> str | None:
    """What to do about an error, as the end of its line; None if nobody foresaw it."""
    text = str(error)
    if isinstance(error, ValueError | BrokenPipeError):
        return ""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or any(words in text for words in _FULL_DISK):
        return "; make room, or give another output_root, and type the command again: finished steps stay"
    if isinstance(error, IsADirectoryError | NotADirectoryError | FileExistsError) and error.filename is not None:
        return "; it is in the way of what is to be written there: move it elsewhere and type the command again"
    if "Could not determine home directory" in text:
        return "; set HOME to a folder that can be written"
    return None


def library_error(error: BaseException) -> str:
    """An error's class and message on one line of at most 300 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


LOST = 3


class NodeError(ValueError):
    """Another machine of the job is gone, was never there, or ended its part.

    code: with which the worker ends; LOST where no job that needs all the machines can be done any more.
    """

    def __init__(self, text: str, code: int = LOST) -> None:
        super().__init__(text)
        self.code = code


TERMINATED = 143  # the exit code: 128 and the number of the signal


class Stopped(BaseException):
    """SIGTERM ended the work. Not an Exception: nothing may take it for a failure that it can handle."""
