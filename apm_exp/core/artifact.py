from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apm_exp.core.digest import FileDigests

DONE = ("key", "counts", "seconds", "files")  # what a step's record has


@dataclass(frozen=True)
class Artifact:
    """A finished step: where its files are, what identifies them, and the counts that its stage returned.

    seconds: of its making. build: the id of this making, None in outputs of earlier versions. reused: it was there;
    False only for what `build` has just made.
    """

    kind: str
    path: Path
    key: str
    counts: Mapping[str, int | float]
    seconds: float
    build: str | None = None
    reused: bool = field(default=True, compare=False)


def changed(folder: Path, files: Mapping[str, Mapping[str, Any]], digests: FileDigests) -> str | None:
    """What is no longer as it was written, or None. files: by name below `folder`, each with its size and sha256."""
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != expected["size"] or digests.of_file(path) != expected["sha256"]:
            return f"{name} has changed since it was written"
    return None
