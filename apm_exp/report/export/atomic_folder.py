"""Atomic writing of a folder with a record of the inputs that it was made from."""

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
    """Write a folder with its record; return False if it exists already, made from the same inputs and unchanged.

    made_from: identifies the content, as JSON. write: called with an empty folder. root: the folder of the lock, which
    serializes calls for the same target; if `root` is read-only, the lock is beside the target. Raises UsageError
    `export.path=...` if something else exists there (another export is replaced if `overwrite` is true, anything else
    never), or if the target is not writable.
    """
    locks = root / ".locks" if os.access(root, os.W_OK) else target.absolute().parent
    with _writable(target):
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"export-{text_digest(str(target.absolute()))[:16]}.lock")
        lock.acquire()
    with lock:
        obstacle = _obstacle(target, made_from)
        if obstacle is None:
            return False
        if obstacle and not overwrite:
            raise UsageError(f"export.path={target}: {obstacle}; set another export.path, or export.overwrite=true")
        _replace(target, made_from, write)
        return True


def _obstacle(target: Path, made_from: Mapping[str, Any]) -> str | None:
    """Return why the target must not be overwritten, "" if it can be written, or None if it need not be."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return ""
    try:
        record = json.loads((target / RECORD).read_text())
        made_from_before, files = record["made_from"], record["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"export.path={target}: exists and is not an export; set another export.path") from None
    if made_from_before != made_from:
        return f"contains another export, of run {made_from_before.get('run')}"
    problem = changed(target, files, FileDigests(target / ".nowhere"))
    return problem and f"contains this export, but {problem}"


def _replace(target: Path, made_from: Mapping[str, Any], write: Callable[[Path], None]) -> None:
    new, old = (target.with_name(f".{target.name}.{what}") for what in ("partial", "replaced"))
    for left in (new, old):  # left by an attempt that was killed
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
    """Raise UsageError if the block cannot write the target."""
    try:
        yield
    except OSError as error:
        remedy = "set export.path to a writable folder"
        raise UsageError(f"export.path={target}: cannot be written ({error.strerror}); {remedy}") from error


def _files(folder: Path) -> dict[str, dict[str, Any]]:
    digests = FileDigests(folder / ".nowhere")
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": digests.of_file(path)}
        for path in files
    }
