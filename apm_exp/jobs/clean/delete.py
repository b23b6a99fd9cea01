"""Delete a leftover, unless a process builds it or a run has come to need it since it was listed."""

import shutil
from pathlib import Path

from apm_exp.core.sealed import Damaged, read_sealed, write_sealed
from apm_exp.jobs.clean.folders import unless_built
from apm_exp.jobs.clean.leftovers import Leftover, unneeded
from apm_exp.jobs.clean.needed import needed


def delete(root: Path, leftover: Leftover) -> bool:
    """Delete a leftover, and return whether it was deleted: not if a run needs it or a process builds it by now.

    If this process is killed, the folder is left as partial work, never as a finished step. Raises OSError.
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
    """Remove the checkpoints from the record of a finished step."""
    try:
        record = read_sealed(done, "files")
    except Damaged:
        return  # a run that needs the step moves it away and rebuilds it
    kept = {name: file for name, file in record["files"].items() if not name.startswith("checkpoints/")}
    write_sealed({**record, "files": kept}, done)
