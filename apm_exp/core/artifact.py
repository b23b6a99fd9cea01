from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apm_exp.core.digest import FileDigests

DONE = ("key", "counts", "seconds", "files")  # fields of a step's completion record


@dataclass(frozen=True)
class Artifact:
    """A finished step: its folder, its key, and the counts that its stage returned.

    seconds: how long the build took. build: the id of the build, None in outputs of earlier versions. reused: False
    only if this run has just built it.
    """

    kind: str
    path: Path
    key: str
    counts: Mapping[str, int | float]
    seconds: float
    build: str | None = None
    reused: bool = field(default=True, compare=False)


def changed(folder: Path, files: Mapping[str, Mapping[str, Any]], digests: FileDigests) -> str | None:
    """Return what differs from the recorded files, as text, or None.

    files: by name relative to `folder`, each with its size and sha256.
    """
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != expected["size"] or digests.of_file(path) != expected["sha256"]:
            return f"{name} has changed since it was written"
    return None
