"""Tables on the screen, which are not folded where the screen is a file."""

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from apm_exp.core.escaped import escaped, escaped_lines

_PLAIN_WIDTH = 200  # characters, where nobody has a window


class _Screen(Console):
    """Rich's own ends the process without a word if nobody reads."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise what was raised."""
        raise BrokenPipeError


def wide_screen() -> Console:
    """Standard output: as wide as its window, or wide enough."""
    screen = _Screen()
    return screen if screen.is_terminal else _Screen(width=_PLAIN_WIDTH)


def print_table(title: str, table: Table) -> None:
    """Print a table below its title, which is not folded to the table's width."""
    screen = wide_screen()
    screen.print(escaped(title), highlight=False, markup=False, soft_wrap=True)
    screen.print(table)


def print_line(text: str) -> None:
    """Print one line on standard output, whatever is in the text."""
    print(escaped(text))


class _PlainTable(Table):
    def add_row(self, *cells: Any, **settings: Any) -> None:
        """Add a row; texts are shown as they are, without rich's markup or control characters."""
        super().add_row(*(Text(escaped(cell)) if isinstance(cell, str) else cell for cell in cells), **settings)


def plain_table(*columns: str) -> Table:
    """An empty table without lines."""
    table = _PlainTable(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


Item = TypeVar("Item")
logger = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 10


def track(items: Iterable[Item], description: str, total: int | None) -> Iterator[Item]:
    """Yield `items` and show how many of `total` (None: unknown) are done."""
    if sys.stderr.isatty() and LINES not in os.environ:  # several bars would write over each other
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
    """A number of bytes with its unit: 999 bytes, 1.5 KiB, 23 GiB."""
    unit = 0
    while size >= 1000 and unit + 1 < len(_UNITS):
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 or size >= 100 else f"{size:.2g} {_UNITS[unit]}"


LINES = "APM_EXP_LINES"  # what each line on the screen begins with, where several jobs write at the same time


class _OneLine(logging.LogRecord):
    """A record whose message cannot pass for another line: all that is logged is one, for every handler.

    Our own messages are one line; other packages write several, of which the later ones are indented.
    """

    def getMessage(self) -> str:
        text = super().getMessage()
        return escaped(text) if self.name.startswith("apm_exp") else escaped_lines(text)


class Once(logging.Filter):
    """Lets a warning through the first time: each metric of a report, and each job of a check, has its own."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        text = record.getMessage()
        new = text not in self.said
        self.said.add(text)
        return new


class _Plain(logging.Formatter):
    """Messages as they are; warnings and errors say so."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        text = text if record.levelno == logging.INFO else f"{record.levelname.lower()}: {text}"
        return os.environ.get(LINES, "") + text


def configure_logging() -> None:
    """Our own lines from INFO on, everyone else's from WARNING on, all on standard error."""
    logging.setLogRecordFactory(_OneLine)
    screen = logging.StreamHandler(sys.stderr)
    screen.setFormatter(_Plain("%(message)s"))
    screen.addFilter(Once())
    logging.basicConfig(level=logging.WARNING, handlers=[screen], force=True)
    logging.getLogger("apm_exp").setLevel(logging.INFO)
    logging.captureWarnings(True)
    # These print their retries twice, on handlers of their own; what matters becomes one line of ours.
    for name in ("HF_HUB_VERBOSITY", "DATASETS_VERBOSITY"):
        os.environ.setdefault(name, "error")
    # DeepSpeed warns at import on every machine without a GPU, whether it is used or not.
    logging.getLogger("DeepSpeed").addFilter(lambda record: "Setting accelerator to CPU" not in record.getMessage())
