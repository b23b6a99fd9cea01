"""`<output_root>/index.html`: all sweeps and runs with what they show, when, and where."""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from apm_exp.core.errors import one_line
from apm_exp.jobs.index.rows import Row, run_row, sweep_row

logger = logging.getLogger(__name__)
_SECONDS_FOR_ANOTHER = 10.0


def write_index(root: Path) -> None:
    """Write the index of an output_root that exists. A warning says why it could not be written: the results stand."""
    if not root.is_dir():
        return
    try:
        (root / ".locks").mkdir(exist_ok=True)
        with FileLock(root / ".locks" / "index.lock", timeout=_SECONDS_FOR_ANOTHER):  # the last writer has seen all
            _write(root)
    except Exception as error:
        logger.warning("%s could not be written, the results stand: %s", root / "index.html", one_line(error))


def _write(root: Path) -> None:
    from apm_exp.report.render import render, sorting

    sweeps = _rows(root, "sweeps", "sweep.json", sweep_row)
    runs = _rows(root, "runs", "config.yaml", run_row)
    damaged = [row.name for row in (*sweeps, *runs) if row.state == "damaged"]
    columns = {"sweeps": _without_common(sweeps), "runs": _without_common(runs), "damaged": damaged}
    name = root.absolute().name
    context: dict[str, Any] = {"title": f"{name} | apm_exp", "root": name, **columns, **sorting()}
    render("index.html.jinja", context, root / "index.html")


def _rows(root: Path, parent: str, file: str, row: Callable[[Path, str], Row]) -> list[Row]:
    """Return the rows of the folders that hold this file, the newest first."""
    try:
        names = [entry.name for entry in os.scandir(root / parent) if not entry.is_symlink()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    folders = (name for name in names if not name.startswith(".") and (root / parent / name / file).is_file())
    return sorted((row(root, name) for name in folders), key=lambda each: (each.date, each.name), reverse=True)


def _without_common(rows: Sequence[Row]) -> list[tuple[Row, list[str]]]:
    """Return each row with the settings that were typed for it, except for those that all rows share."""
    common = set.intersection(*(set(row.typed) for row in rows)) if len(rows) > 1 else set()
    return [(row, [word for word in row.typed if word not in common]) for row in rows]
