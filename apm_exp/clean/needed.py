"""What the records of runs and sweeps need."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from apm_exp.clean.folders import StepFolder

_NAMED = re.compile(r"[A-Za-z0-9._-]+-[0-9a-f]{8}(?![0-9A-Za-z])")
_TEXTS = {"config.yaml", "command.txt"}


@dataclass(frozen=True)
class Needed:
    """names: <slug>-<key8> of the folders that records link to or name. keys: of the policies that sweeps compare."""

    names: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)

    def has(self, folder: StepFolder) -> bool:
        """Whether a record needs what this folder is for."""
        return folder.name in self.names or (bool(self.keys) and _key_of(folder.path) in self.keys)


def needed(root: Path, since: float = 0.0) -> Needed:
    """What all records need, or those of runs that have changed since a moment (seconds since 1970).

    A run needs the steps that it links to, built or not, and any that its settings name (as model.path does). A sweep
    needs the reports of its jobs and the policies that it compares.
    """
    found = Needed()
    for run in _folders(root / "runs"):
        if run.stat().st_mtime >= since:
            found.names.update(_of_run(run))
    for sweep in _folders(root / "sweeps"):
        for path in sorted((sweep / "jobs").glob("*.json")):
            found.names.update(_NAMED.findall(path.read_text(errors="replace")))
            found.keys.add(_policy_key(path))
    found.keys.discard("")
    return found


def _folders(parent: Path) -> Iterator[Path]:
    """A folder's own folders, and those in them: records that were tidied into one folder are still records."""
    if parent.is_dir():
        for entry in os.scandir(parent):
            if entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)
                yield from _folders(Path(entry.path))


def _of_run(run: Path) -> Iterator[str]:
    for entry in os.scandir(run):
        if entry.is_symlink():
            yield os.path.basename(os.readlink(entry.path))
        elif entry.name in _TEXTS:
            yield from _NAMED.findall(Path(entry.path).read_text(errors="replace"))


def _policy_key(path: Path) -> str:
    try:
        return str(json.loads(path.read_text()).get("policy_key") or "")
    except (ValueError, AttributeError):
        return ""


def _key_of(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / "done").read_text())["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
