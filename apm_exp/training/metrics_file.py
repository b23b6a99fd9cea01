"""Reading of metrics.jsonl."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of metrics.jsonl up to the first that is damaged or was truncated by a kill."""
    rows: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []:
        try:
            row = json.loads(line)
            row["step"] = int(row["step"])
        except (ValueError, KeyError, TypeError):
            break
        rows.append(row)
    return rows


SECONDS_BETWEEN_LOOKS = 1.0


@contextmanager
def follow(path: Path, log: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Call `log` with each row that is added to `path` during the block, in order; the last ones when the block ends.

    Rows that exist before the block are ignored. A training that resumes from a checkpoint removes the rows after it
    and appends new ones; those are logged again, as their times differ.
    """
    known, over = set(_lines(path)), threading.Event()

    def hand_on() -> None:
        for line in _lines(path):
            if line not in known:
                known.add(line)
                log(json.loads(line))

    def keep_looking() -> None:
        while not over.wait(SECONDS_BETWEEN_LOOKS):
            hand_on()

    looking = threading.Thread(target=keep_looking, daemon=True)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()
        hand_on()


def _lines(path: Path) -> list[str]:
    """Return the lines that are complete."""
    return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1] if path.exists() else []
