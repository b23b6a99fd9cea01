"""Partial results on disk that a later attempt resumes from: a folder of append-only files.

Each process writes its own file in each attempt, so several may write at once. A line is a JSON object of results by
name, preceded by the sha256 of its text. JSON keeps every bit of a float.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from apm_exp.core.digest import text_digest

logger = logging.getLogger(__name__)
Item = TypeVar("Item")


def record(items: Iterable[Item], results_of: Callable[[Item], dict[str, Any]], folder: Path) -> Iterator[Item]:
    """Yield each item after its results, by name, have been written to the folder."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{time.time_ns()}-{os.environ.get('RANK', '0')}.jsonl"
    with path.open("x", encoding="utf-8", newline="\n") as lines:
        for item in items:
            text = json.dumps(results_of(item))
            lines.write(f"{text_digest(text)} {text}\n")
            lines.flush()
            yield item


def read_results(folder: Path, *, warn: bool = True) -> Iterator[tuple[str, Any]]:
    """Yield (name, result) of every line in the folder, in the order of the attempts.

    Damaged lines, such as one that a kill truncated, are skipped with a warning.
    """
    for path in sorted(folder.glob("*.jsonl")):
        damaged = 0
        with path.open("rb") as lines:
            for line in lines:
                results = _results(line)
                damaged += results is None
                yield from (results or {}).items()
        if damaged and warn:
            logger.warning("%s: %d damaged lines; their results are computed again", path, damaged)


def count_results(folder: Path) -> int:
    """Return the number of results in a folder, which another process may be writing to."""
    return len({name for name, _ in read_results(folder, warn=False)})


def _results(line: bytes) -> dict[str, Any] | None:
    """Return the results of a line, or None if it is damaged."""
    digest, _, text = line.decode(errors="replace").partition(" ")
    whole = text.endswith("\n") and text_digest(text[:-1]) == digest
    return json.loads(text) if whole else None
