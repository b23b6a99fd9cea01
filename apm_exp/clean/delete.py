"""Deleting a leftover: only while nobody builds it, and only where no run has asked for it since it was found."""

import os
import shutil
from pathlib import Path

from apm_exp.clean.folders import unless_built
from apm_exp.clean.leftovers import Leftover, unneeded
from apm_exp.clean.needed import needed
from apm_exp.sealed import Damaged, read_sealed, write_sealed

_MARGIN = 60  # seconds between clocks


def delete(root: Path, leftover: Leftover, found: float) -> bool:
    """Delete a leftover that was found at a moment (seconds since 1970); False where it is wanted again.

    A kill in the middle leaves a half-written folder, never one that counts as finished. Raises OSError.
    """
    folder = leftover.folder
    with unless_built(root, folder) as free:
        if not free or unneeded(root, folder, needed(root, found - _MARGIN)) != (leftover.path, leftover.why):
            return False
        if leftover.path == folder.path:
            (folder.path / "done").unlink(missing_ok=True)
        else:
            _forget_checkpoints(folder.path / "done")
        shutil.rmtree(leftover.path)
        return True


def _forget_checkpoints(done: Path) -> None:
    """Take the checkpoints out of a finished step's record, which has the time of the build and keeps it."""
    try:
        record, status = read_sealed(done, "files"), done.stat()
    except Damaged:
        return  # the step is set aside, and built again, when it is wanted
    kept = {name: file for name, file in record["files"].items() if not name.startswith("checkpoints/")}
    write_sealed({**record, "files": kept}, done)
    os.utime(done, ns=(status.st_atime_ns, status.st_mtime_ns))
