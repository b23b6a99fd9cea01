"""Progress of long loops: a bar on a terminal, a plain line every few seconds elsewhere."""

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from apm_exp.worker import LINES

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
