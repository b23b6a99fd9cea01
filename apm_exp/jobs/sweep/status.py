"""task=status: how the jobs of a sweep stand, or all sweeps and the newest runs of an output_root, and their steps."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.table import Table

from apm_exp.core.console import plain_table, print_line, print_table
from apm_exp.core.sealed import Damaged, read_sealed
from apm_exp.jobs.ledger import STATES, Record, named, records
from apm_exp.jobs.progress import progress
from apm_exp.jobs.request import Request

_NEWEST = 10  # runs


def print_status(request: Request) -> None:
    """Print the ledger of the request's sweep; without one, a line a sweep and a line for each of the newest runs."""
    root = Path(request.config["output_root"])
    if not request.sweep:
        print_table(f"sweeps below {root / 'sweeps'}", _sweeps(root))
        print_table(f"newest runs below {root / 'runs'}", _runs(root))
        return
    folder = Path(request.sweep)
    if not (folder / "sweep.json").exists():
        print_line(f"{folder}: not started; task=plan shows its jobs and what they reuse")
        return
    jobs = records(folder)
    print_table(f"{folder}: {_counted(job['state'] for job in jobs)}", _jobs(jobs, root))


def _jobs(jobs: Sequence[Record], root: Path) -> Table:
    table = plain_table("job", "settings", "state", "seconds", "result")
    for job in jobs:
        table.add_row(str(job["number"]), named(job["swept"]), job["state"], _seconds(job), _result(job, root))
    return table


def _sweeps(root: Path) -> Table:
    table = plain_table("sweep", "jobs", "command")
    for path in sorted((root / "sweeps").glob("*/sweep.json")):
        folder = path.parent
        try:
            states = _counted(job["state"] for job in records(folder))
        except Damaged as error:
            states = f"{error}; the sweep's own command writes it again"
        table.add_row(folder.name, states, _command(folder))
    return table


def _runs(root: Path) -> Table:
    table = plain_table("run", "state", "seconds", "result")
    folders = sorted((path.parent for path in (root / "runs").glob("[0-9]*/config.yaml")), reverse=True)
    for folder in folders[:_NEWEST]:
        run = _ended(folder / "result.json")
        state = "running or killed" if run["state"] == "running" else run["state"]  # nobody holds a lock for a run
        table.add_row(folder.name, state, _seconds(run), _result(run, root))
    return table


def _ended(result: Path) -> Record:
    try:
        return read_sealed(result, "state")
    except FileNotFoundError:
        return {"state": "unknown"}
    except Damaged as error:
        return {"state": "unknown", "reason": str(error)}


def _command(folder: Path) -> str:
    path = folder / "command.txt"
    return path.read_text(errors="replace").strip() if path.is_file() else ""


def _counted(states: Iterable[str]) -> str:
    counts = Counter(states)
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])


def _seconds(record: Record) -> str:
    return f"{record['seconds']:g}" if record.get("seconds") is not None else ""


def _result(record: Record, root: Path) -> str:
    """Return the result of a record, or the progress of its running step; both for a job that was killed."""
    reason = record.get("reason") if record.get("reason") != record["state"] else ""  # "interrupted", once
    said = str(reason or record.get("headline") or "")
    return " | ".join(filter(None, (said, progress(record, root))))
