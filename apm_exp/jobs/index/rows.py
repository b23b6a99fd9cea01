"""A row of the index, from the records of a run or a sweep."""

import os
import re
import shlex
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from apm_exp.core.sealed import Damaged, read_sealed
from apm_exp.jobs.ledger import STATES, records
from apm_exp.report.sweep.verdict import read_verdict

_STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)(\d\d)-")


@dataclass(frozen=True)
class Row:
    """A run or a sweep.

    label: its name without the date. verdict: lines. typed: the settings of its command. page, record: links. sweep:
    the name of a run's.
    """

    name: str
    label: str
    date: str
    state: str
    verdict: tuple[str, ...]
    typed: tuple[str, ...]
    page: str | None
    record: str
    sweep: str | None = None


def run_row(root: Path, name: str) -> Row:
    """Return the row of a run below `root`; one with a damaged record says so."""
    stamp = _STAMP.match(name)
    label = _STAMP.sub("", name)
    date = "{}-{}-{} {}:{}".format(*stamp.groups()) if stamp else ""
    folder = root / "runs" / name
    link = f"runs/{quote(name)}/"
    try:
        record = read_sealed(folder / "result.json", "state")
        state = str(record["state"])
        said = str(record.get("reason") or record.get("headline") or "")
        page = f"{link}report/report.html" if (folder / "report" / "report.html").is_file() else None
        sweep = str(record["sweep"]) if record.get("sweep") else None
        running = "running or killed" if state == "running" else state  # nobody holds a lock for a run
        return Row(name, label, date, running, (said,), _typed(str(record.get("command", ""))), page, link, sweep)
    except FileNotFoundError:
        return Row(name, label, date, "unknown", (), (), None, link)
    except Damaged as error:
        return Row(name, label, date, "damaged", (_below(root, error),), (), None, link)


def sweep_row(root: Path, name: str) -> Row:
    """Return the row of a sweep below `root`; one with a damaged record says so."""
    folder, link = root / "sweeps" / name, f"sweeps/{quote(name)}/"
    written = datetime.fromtimestamp((folder / "sweep.json").stat().st_mtime, UTC)
    date = f"{written:%Y-%m-%d %H:%M}"
    page = f"{link}report.html" if (folder / "report.html").is_file() else None
    command = folder / "command.txt"
    typed = _typed(command.read_text(errors="replace")) if command.is_file() else ()
    try:
        state = _counted(records(folder))
    except (Damaged, FileNotFoundError, TypeError, AttributeError) as error:
        return Row(name, name, date, "damaged", (_below(root, error),), typed, page, link)
    lines = (read_verdict(folder) or {"verdict": []})["verdict"]
    return Row(name, name, date, state, tuple(lines), typed, page, link)


def _counted(jobs: list[Mapping[str, Any]] | list[dict[str, Any]]) -> str:
    counts = Counter(str(job["state"]) for job in jobs)
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])


def _typed(command: str) -> tuple[str, ...]:
    """Return the settings of a command line, also of one that no shell would take, without where its outputs are."""
    words = command.split()
    if re.search(r"['\"\\]", command):  # shlex is slow, and a thousand commands are read
        with suppress(ValueError):
            words = shlex.split(command)
    return tuple(word for word in words[3:] if word not in ("-m", "--multirun") and not word.startswith("output_root="))


def _below(root: Path, error: Exception) -> str:
    """Return an error without the folder of the index, which may have been moved since."""
    return str(error).replace(f"{root}{os.sep}", "")
