"""The folders of steps in an output root: list them, and lock one against being built."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from apm_exp.pipeline.stage_table import STAGES

_NAME = re.compile(r"(?P<name>.+-(?P<key8>[0-9a-f]{8}))(\.(?P<aside>replaced|damaged)(-\d+)?)?")
_FRAMEWORK_FILES = {"inputs.yaml", "provenance.json", "done", "failed.txt"}


@dataclass(frozen=True)
class StepFolder:
    """The folder of a finished or unfinished step. name: <slug>-<key8>. aside: "replaced", "damaged" or None."""

    path: Path
    kind: str
    name: str
    key8: str
    aside: str | None

    @property
    def is_done(self) -> bool:
        """Return whether the folder has a finished step."""
        return (self.path / "done").is_file()


def step_folders(root: Path) -> Iterator[StepFolder]:
    """Yield all folders of steps, by kind and name. Links are not followed, and other folders are skipped."""
    for kind in STAGES:
        parent = root / kind
        if parent.is_symlink() or not parent.is_dir():
            continue
        for entry in sorted(os.scandir(parent), key=lambda entry: entry.name):
            match = _NAME.fullmatch(entry.name)
            if match and entry.is_dir(follow_symlinks=False) and _is_ours(Path(entry.path)):
                yield StepFolder(Path(entry.path), kind, match["name"], match["key8"], match["aside"])


def _is_ours(folder: Path) -> bool:
    """Return whether a folder is a step's, or empty as that of an attempt that was killed at its start."""
    names = {name for name in os.listdir(folder) if not name.endswith(".partial")}
    return not names or bool(names & _FRAMEWORK_FILES)


@contextmanager
def unless_built(root: Path, folder: StepFolder) -> Iterator[bool]:
    """Keep a folder from being built inside the block; yield False if another process builds it, or may build it.

    The folder's name has only the first digits of the key, so all locks that start with them are taken. The file of a
    lock exists before the folder does, and is never deleted.
    """
    with ExitStack() as held:
        try:
            for path in sorted((root / ".locks").glob(f"{folder.kind}-{folder.key8}*.lock")):
                held.enter_context(FileLock(path).acquire(timeout=0))
            free = True
        except (Timeout, OSError):
            free = False
        yield free


def size_of(folder: Path) -> int:
    """Return the size of the files in a folder, in bytes; links are not followed or counted."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            total += 0 if path.is_symlink() else path.stat().st_size
    return total
