"""Deleting a leftover: only while nobody builds it, and only where no run has asked for it since it was found."""

import shutil
from pathlib import Path

from apm_exp.core.sealed import Damaged, read_sealed, write_sealed
from apm_exp.jobs.clean.folders import unless_built
from apm_exp.jobs.clean.leftovers import Leftover, unneeded
from apm_exp.jobs.clean.needed import needed


def delete(root: Path, leftover: Leftover) -> bool:
    """Delete a leftover; False where a run has come to want it since it was found.

    A kill in the middle leaves a half-written folder, never one that counts as finished. Raises OSError.
    """
    folder = leftover.folder
    with unless_built(root, folder) as free:
        if not free or unneeded(root, folder, needed(root)) != (leftover.path, leftover.why):
            return False
        if leftover.path == folder.path:
            (folder.path / "done").unlink(missing_ok=True)
        else:
            _forget_checkpoints(folder.path / "done")
        shutil.rmtree(leftover.path)
        return True


def _forget_checkpoints(done: Path) -> None:
    """Take the checkpoints out of a finished step's record."""
    try:
        record = read_sealed(done, "files")
    except Damaged:
        return  # the step is set aside, and built again, when it is wanted
    kept = {name: file for name, file in record["files"].items() if not name.startswith("checkpoints/")}
    write_sealed({**record, "files": kept}, done)
