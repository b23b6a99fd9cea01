"""The folders of steps below an output root: which they are, and whether somebody builds one of them now."""

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
    """A folder that a step made or began to make. name: <slug>-<key8>. aside: "replaced", "damaged" or None."""

    path: Path
    kind: str
    name: str
    key8: str
    aside: str | None

    @property
    def is_done(self) -> bool:
        """Whether the step was finished here."""
        return (self.path / "done").is_file()


def step_folders(root: Path) -> Iterator[StepFolder]:
    """All folders of steps, by kind and name. Links are not followed, and what no step made is not among them."""
    for kind in STAGES:
        parent = root / kind
        if parent.is_symlink() or not parent.is_dir():
            continue
        for entry in sorted(os.scandir(parent), key=lambda entry: entry.name):
            match = _NAME.fullmatch(entry.name)
            if match and entry.is_dir(follow_symlinks=False) and _is_ours(Path(entry.path)):
                yield StepFolder(Path(entry.path), kind, match["name"], match["key8"], match["aside"])


def _is_ours(folder: Path) -> bool:
    """An attempt that was killed at once leaves nothing, or the first file half-written."""
    names = {name for name in os.listdir(folder) if not name.endswith(".partial")}
    return not names or bool(names & _FRAMEWORK_FILES)


@contextmanager
def unless_built(root: Path, folder: StepFolder) -> Iterator[bool]:
    """Keep everyone from building a folder inside the block; yields False where somebody builds it, or may.

    The name has a part of the key alone, so that all locks that it may belong to are taken. A lock's file is there
    before the folder is, and stays.
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
    """Bytes of the files in a folder; links count as nothing and are not followed."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            total += 0 if path.is_symlink() else path.stat().st_size
    return total
