"""The one-line error message and the exit code of a job."""

import errno
import logging
import os
import sys
import traceback

from apm_exp.core.escaped import escaped, escaped_lines

logger = logging.getLogger(__name__)
# The messages of a full disk from safetensors, which sets no errno, and from torch's checkpoint writer.
_FULL_DISK = ("No space left on device", "Disk quota exceeded", "PytorchStreamWriter failed", "inline_container.cc")
STANDARD_OUTPUT = "standard output"  # the file that an error names if it was that which could not be written
USAGE_ERROR, FAILURE, INTERRUPTED = 2, 1, 130  # and TERMINATED


INTERRUPTION = "interrupted; finished steps are kept; re-run the same command to resume"


class UsageError(ValueError):
    """An error in what the user typed or in the files it refers to; nothing has been done."""


def exit_code(error: BaseException | None) -> int:
    """Return the exit code of a worker that ended with this exception, or with none."""
    kinds = ((type(None), 0), (UsageError, USAGE_ERROR), (KeyboardInterrupt, INTERRUPTED), (Stopped, TERMINATED))
    return next((code for kind, code in kinds if isinstance(error, kind)), FAILURE)


def interrupts(error: BaseException | None) -> bool:
    """Return whether an error is Ctrl-C, or was raised while Ctrl-C ended a library's work, which then hides it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def one_line(error: BaseException) -> str:
    """Return an error as one line: its text and, unless it is a ValueError, its type and the step that failed."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, BrokenPipeError):
        return "standard output: the reading process ended before everything was printed"
    if isinstance(error, OSError) and error.filename == STANDARD_OUTPUT:
        return f"{STANDARD_OUTPUT}: {error.strerror}"
    text = escaped(" ".join(str(error).split())) or type(error).__name__
    if isinstance(error, ValueError | Stopped):
        return text
    notes = "; ".join(getattr(error, "__notes__", []))
    return f"{type(error).__name__}: {text}" + (f" ({notes})" if notes else "")


def print_error(text: object) -> None:
    """Print an error of the command itself, which has no log, as one line."""
    print(f"error: {escaped(str(text))}", file=sys.stderr)


def say(error: BaseException) -> int:
    """Log an error with its remedy as one line and return the exit code."""
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
            remedy += "; set HYDRA_FULL_ERROR=1 to show the traceback here"
    logger.error("%s%s", one_line(error), remedy)
    return code


def known_remedy(error: BaseException) -> str | None:
    """Return the remedy for an error, as the end of its line; None if the error is not a known one."""
    text = str(error)
    if isinstance(error, ValueError | BrokenPipeError):
        return ""
    if isinstance(error, OSError) and error.filename == STANDARD_OUTPUT:
        return ""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or any(words in text for words in _FULL_DISK):
        return "; free disk space or set another output_root, and re-run the command: finished steps are kept"
    if isinstance(error, IsADirectoryError | NotADirectoryError | FileExistsError) and error.filename is not None:
        return "; this path is needed for an output: move it elsewhere and re-run the command"
    if "Could not determine home directory" in text:
        return "; set HOME to a writable folder"
    return None


def library_error(error: BaseException) -> str:
    """Return an error's class and message on one line of at most 300 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


TERMINATED = 143  # the exit code: 128 and the number of the signal


class Stopped(BaseException):
    """The end of the work after SIGTERM.

    Not an Exception, so that no `except Exception` handles it as a failure.
    """
