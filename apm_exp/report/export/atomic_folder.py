"""A folder that is there whole or not at all, and knows what it was made from."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from apm_exp.core.artifact import changed
from apm_exp.core.digest import FileDigests, text_digest
from apm_exp.core.errors import UsageError
from apm_exp.core.files import write_json

RECORD = "apm_exp.json"


def place(
    target: Path, made_from: Mapping[str, Any], write: Callable[[Path], None], *, root: Path, overwrite: bool
) -> bool:
    """Write a folder with its record; False where it is there already, made from the same and unchanged.

    made_from: what tells it from others, as JSON. write: given an empty folder. root: where the lock lies, so that
    two of these for one target come one after the other; beside the target if `root` may only be read. Raises
    UsageError `export.path=...` where something else is there: another export is replaced where `overwrite` says so,
    anything else never; and if the target cannot be written.
    """
    locks = root / ".locks" if os.access(root, os.W_OK) else target.absolute().parent
    with _writable(target):
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"export-{text_digest(str(target.absolute()))[:16]}.lock")
        lock.acquire()
    with lock:
        found = _found(target, made_from)
        if found is None:
            return False
        if found and not overwrite:
            raise UsageError(f"export.path={target}: {found}; give another export.path, or export.overwrite=true")
        _replace(target, made_from, write)
        return True


def _found(target: Path, made_from: Mapping[str, Any]) -> str | None:
    """What keeps the target from being written, nothing (""), or None where it need not be."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return ""
    try:
        record = json.loads((target / RECORD).read_text())
        there, files = record["made_from"], record["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"export.path={target}: is there and no export; give another export.path") from None
    if there != made_from:
        return f"holds another export, of run {there.get('run')}"
    problem = changed(target, files, FileDigests(target / ".nowhere"))
    return problem and f"holds this export, and {problem}"


def _replace(target: Path, made_from: Mapping[str, Any], write: Callable[[Path], None]) -> None:
    new, old = (target.with_name(f".{target.name}.{what}") for what in ("partial", "replaced"))
    for left in (new, old):  # by an attempt that was killed
        shutil.rmtree(left, ignore_errors=True)
    with _writable(target):
        new.mkdir(parents=True)
    try:
        write(new)
        write_json({"made_from": made_from, "files": _files(new)}, new / RECORD)
        if target.exists():
            target.rename(old)
        new.rename(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        if not target.exists() and old.exists():
            old.rename(target)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _writable(target: Path) -> Iterator[None]:
    """Raise UsageError for a target that the block cannot make."""
    try:
        yield
    except OSError as error:
        remedy = "give export.path=FOLDER in a place that can be written"
        raise UsageError(f"export.path={target}: cannot be written ({error.strerror}); {remedy}") from error


def _files(folder: Path) -> dict[str, dict[str, Any]]:
    digests = FileDigests(folder / ".nowhere")
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": digests.of_file(path)}
        for path in files
    }
