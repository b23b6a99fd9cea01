"""Output on the terminal: tables, progress and logging."""

import io
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from apm_exp.core.errors import STANDARD_OUTPUT
from apm_exp.core.escaped import escaped, escaped_lines
from apm_exp.core.once import Once

_PLAIN_WIDTH = 200  # characters, if standard output is not a terminal


@contextmanager
def _standard_output() -> Iterator[None]:
    """Name standard output in errors of writing to it: its disk may not be that of the results."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, STANDARD_OUTPUT) from error


class _Screen(Console):
    """A console that reports a broken pipe; rich's own exits the process silently."""

    def print(self, *objects: Any, **settings: Any) -> None:
        """Print; an error names standard output."""
        with _standard_output():
            super().print(*objects, **settings)

    def on_broken_pipe(self) -> NoReturn:
        """Re-raise the error that rich has caught."""
        raise BrokenPipeError


def wide_screen() -> Console:
    """Return a console for standard output: as wide as the terminal, or wide enough for tables if it is a file."""
    screen = _Screen()
    return screen if screen.is_terminal else _Screen(width=_PLAIN_WIDTH)


def print_table(title: str, table: Table) -> None:
    """Print a table below its title; the title is not wrapped to the table's width."""
    screen = wide_screen()
    screen.print(escaped(title), highlight=False, markup=False, soft_wrap=True)
    screen.print(table)


def print_line(text: str) -> None:
    """Print one line on standard output, whatever is in the text."""
    with _standard_output():
        print(escaped(text), flush=True)


class _PlainTable(Table):
    def add_row(self, *cells: Any, **settings: Any) -> None:
        """Add a row; texts are shown literally, without rich's markup or control characters."""
        super().add_row(*(Text(escaped(cell)) if isinstance(cell, str) else cell for cell in cells), **settings)


def plain_table(*columns: str) -> Table:
    """Return an empty table without borders."""
    table = _PlainTable(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def table_lines(table: Table) -> list[str]:
    """Return a table as lines for the log: as wide as the terminal, or wide enough if the log is a file."""
    width = Console(stderr=True).width if sys.stderr.isatty() else _PLAIN_WIDTH
    text = io.StringIO()
    Console(file=text, width=width, color_system=None).print(table)
    return [line.rstrip() for line in text.getvalue().splitlines()]


Item = TypeVar("Item")
logger = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 10


def track(items: Iterable[Item], description: str, total: int | None) -> Iterator[Item]:
    """Yield `items` and show how many of `total` (None: unknown) are done."""
    if sys.stderr.isatty() and LINES not in os.environ:  # several progress bars would overwrite each other
        yield from _bar(items, description, total)
    else:
        yield from _lines(items, description, total)


def _bar(items: Iterable[Item], description: str, total: int | None) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(items, total=total, description=description)


def _lines(items: Iterable[Item], description: str, total: int | None) -> Iterator[Item]:
    last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES and done != total:
            last = time.monotonic()
            logger.info("%s %s", description, f"{done:,}" if total is None else f"{done:,}/{total:,}")


_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def shown(size: float) -> str:
    """Return a number of bytes with its unit: 999 bytes, 1.5 KiB, 23 GiB."""
    unit = 0
    while size >= 1000 and unit + 1 < len(_UNITS):
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 or size >= 100 else f"{size:.2g} {_UNITS[unit]}"


# environment variable: a prefix for each line on the screen, if several jobs write at the same time
LINES = "APM_EXP_LINES"


class _OneLine(logging.LogRecord):
    """A log record whose message cannot imitate another log line, for every handler.

    Our own messages are escaped to one line; in messages of other packages, the lines after the first are indented.
    """

    def getMessage(self) -> str:
        text = super().getMessage()
        return escaped(text) if self.name.startswith("apm_exp") else escaped_lines(text)


class _Plain(logging.Formatter):
    """A formatter that prefixes warnings and errors, but not other messages, with their level."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        text = text if record.levelno == logging.INFO else f"{record.levelname.lower()}: {text}"
        return os.environ.get(LINES, "") + text


def configure_logging() -> None:
    """Log our own messages from INFO and those of other packages from WARNING, all on standard error."""
    logging.setLogRecordFactory(_OneLine)
    screen = logging.StreamHandler(sys.stderr)
    screen.setFormatter(_Plain("%(message)s"))
    screen.addFilter(Once())
    logging.basicConfig(level=logging.WARNING, handlers=[screen], force=True)
    logging.getLogger("apm_exp").setLevel(logging.INFO)
    logging.captureWarnings(True)
    # These libraries print retries twice, with handlers of their own; we log one line for what matters.
    for name in ("HF_HUB_VERBOSITY", "DATASETS_VERBOSITY"):
        os.environ.setdefault(name, "error")
    # DeepSpeed warns at import on every machine without a GPU, whether or not it is used.
    logging.getLogger("DeepSpeed").addFilter(lambda record: "Setting accelerator to CPU" not in record.getMessage())
