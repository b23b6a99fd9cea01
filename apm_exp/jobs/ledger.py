"""The ledger of a sweep: one record per job in `<sweep>/jobs/<number>.json`, and a lock for the process that runs it.

A running job is locked (`<number>.lock`), and the lock is released when its process ends. If a record says `running`
and the lock is free, the process was killed.
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from apm_exp.core.escaped import escaped
from apm_exp.core.sealed import Damaged, read_sealed, set_aside, write_sealed

logger = logging.getLogger(__name__)
Record = dict[str, Any]
STATES = ("waiting", "running", "done", "failed", "interrupted")
KILLED = "killed; re-run the same command to resume"


def record_of(folder: Path, number: int) -> Record:
    """Return the present record of a job: at least its `state` (one of STATES), and its `reason` if it failed.

    A job whose record is damaged is `waiting`, with the damage as its reason.
    """
    try:
        record = read_sealed(_path(folder, number), "state")
    except FileNotFoundError:
        return {"state": "waiting", "reason": None}
    except Damaged as error:
        return {"state": "waiting", "reason": str(error)}
    if record["state"] == "running" and not _held(folder, number):
        return record | {"state": "failed", "reason": KILLED}
    return record


def records(folder: Path) -> list[Record]:
    """Return the records of all jobs of a sweep, in order, with `number` and `swept` settings. Raises Damaged."""
    jobs = read_sealed(folder / "sweep.json", "jobs")["jobs"]
    return [{"number": number, "swept": swept} | record_of(folder, number) for number, swept in enumerate(jobs)]


def named(swept: Mapping[str, str] | None) -> str:
    """Return the settings in which a job differs from the others of its sweep, as they are typed."""
    return " ".join(f"{key}={value}" for key, value in (swept or {}).items())


def called(number: int, swept: Mapping[str, str] | None) -> str:
    """Return a job's number, and its own settings in parentheses if it has any."""
    return f"job {number} ({named(swept)})" if swept else f"job {number}"


def titled(number: int, swept: Mapping[str, str] | None) -> str:
    """Return a job's number and its own settings as the start of a line."""
    return f"job {number}: {named(swept)}" if swept else f"job {number}"


def all_done(folder: Path, jobs: int) -> bool:
    """Return whether every job is recorded as done."""
    return all(record_of(folder, number)["state"] == "done" for number in range(jobs))


def say_done(number: int, record: Record) -> None:
    """Print that a job was done by an earlier command, with its headline."""
    print(escaped(f"{titled(number, record['swept'])}: done before | {record['headline']}"), file=sys.stderr)


def reported(folder: Path) -> Path | None:
    """Return the sweep's page, or None if it is missing or older than a job's record."""
    page = folder / "report.html"
    newest = max((path.stat().st_mtime for path in (folder / "jobs").glob("*.json")), default=0)
    return page if page.is_file() and page.stat().st_mtime >= newest else None


def job_with(folder: Path, policy_key: str) -> int | None:
    """Return the number of the first finished job with this policy, or None."""
    done = (record for record in records(folder) if record["state"] == "done")
    return next((int(record["number"]) for record in done if record["policy_key"] == policy_key), None)


def write_record(folder: Path, number: int, record: Mapping[str, Any]) -> None:
    """Write the record of a job."""
    path = _path(folder, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sealed(record, path)


@contextmanager
def worked_on(folder: Path, number: int) -> Iterator[bool]:
    """Hold the job's lock inside the block; yield False if another command held it first and has finished the job."""
    _path(folder, number).parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(folder, number)
    waited = False
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waited = True
        lock.acquire()
    try:
        yield not (waited and record_of(folder, number)["state"] == "done")
    finally:
        lock.release()


def settle(folder: Path, number: int, *, finished: bool) -> None:
    """Delete the record of a job that failed or is not `finished` (not all its steps exist), so that it is run again.

    The record of a running job is kept. A damaged record is moved away, with a warning that names it.
    """
    record = record_of(folder, number)
    if record["state"] == "running" or (record["state"] == "done" and finished) or not _path(folder, number).exists():
        return
    try:
        with _lock(folder, number).acquire(timeout=0):
            if record["state"] == "waiting":
                aside = set_aside(_path(folder, number))
                logger.warning("%s; moved to %s, and job %d is run again", record["reason"], aside.name, number)
            _path(folder, number).unlink(missing_ok=True)
    except Timeout:
        return


def settle_lost(folder: Path, number: int, reason: str) -> None:
    """Record a job as failed for this reason, if its process left no record of its end."""
    record = record_of(folder, number)
    if record["state"] == "waiting" or record.get("reason") == KILLED:
        write_record(folder, number, record | {"state": "failed", "reason": reason})


def settle_by_record(folder: Path, number: int, root: Path) -> None:
    """Call `settle` by the steps in the job's record, for jobs whose keys depend on the machine that runs them."""
    settle(folder, number, finished=as_recorded(folder, number, root))


def as_recorded(folder: Path, number: int, root: Path) -> bool:
    """Return whether the steps in a job's record still exist in the builds that it names.

    False for records of earlier versions, whose steps have no states, since a job had other steps then.
    """
    steps = record_of(folder, number).get("steps", {}).values()
    return all("state" in step for step in steps) and all(
        _build_of(root / step["folder"]) == (step["key"], step.get("build")) for step in steps
    )


def _build_of(step: Path) -> tuple[str, str | None] | None:
    """Return the key and the build of a finished step, or None if there is none."""
    try:
        record = read_sealed(step / "done", "key")
        return record["key"], record.get("build")
    except (FileNotFoundError, Damaged):
        return None


def _held(folder: Path, number: int) -> bool:
    lock = _lock(folder, number)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def _lock(folder: Path, number: int) -> FileLock:
    return FileLock(_path(folder, number).with_suffix(".lock"))


def _path(folder: Path, number: int) -> Path:
    return folder / "jobs" / f"{number}.json"
