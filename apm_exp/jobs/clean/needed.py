"""What the records of runs and sweeps need."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apm_exp.core.errors import UsageError
from apm_exp.core.sealed import Damaged, read_sealed
from apm_exp.jobs.clean.folders import StepFolder, step_folders

_NAMED = re.compile(r"[A-Za-z0-9._-]+-[0-9a-f]{8}(?![0-9A-Za-z])")
_TEXTS = {"config.yaml", "command.txt"}
_OF_RUN = {*_TEXTS, "result.json"}
_OF_STEP = "inputs.yaml"
_RUN_NAME = re.compile(r"\d{8}-\d{6}-.+")


@dataclass(frozen=True)
class Needed:
    """names: <slug>-<key8> of the folders that records link to or name. keys: of the policies that sweeps compare."""

    names: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)

    def has(self, folder: StepFolder) -> bool:
        """Whether a record needs what this folder is for."""
        return folder.name in self.names or (bool(self.keys) and _key_of(folder.path) in self.keys)


def needed(root: Path) -> Needed:
    """What all records need. Raises UsageError where one does not tell: nothing may be taken for unneeded then.

    A run needs the steps that its result.json names or that it links to, built or not, and any that its settings name
    (as model.path does). A sweep needs the reports of its jobs and the policies that it compares.
    """
    if not (root / "runs").is_dir() and next(step_folders(root), None):
        remedy = "copy or mount it there, or make an empty folder of this name if none of the steps is wanted"
        raise UsageError(f"task=clean: {root / 'runs'} is not there, so what is needed is not known; {remedy}")
    found = Needed()
    for run in _records(root / "runs"):
        found.names.update(_of_run(run))
    for path in sorted((root / "sweeps").glob("**/jobs/*.json")):
        found.keys.add(str(_read(path).get("policy_key") or ""))
        found.names.update(_NAMED.findall(path.read_text(errors="replace")))
    found.keys.discard("")
    return found


def _records(parent: Path) -> Iterator[Path]:
    """The folders of runs, also of those that were tidied into a folder; one that begins has a name with a dot."""
    if not parent.is_dir():
        return
    for entry in list(os.scandir(parent)):
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            folder = Path(entry.path)
            if _is_run(folder):
                yield folder
            else:
                yield from _records(folder)


def _is_run(folder: Path) -> bool:
    entries = list(os.scandir(folder))
    names = {entry.name for entry in entries}
    if _OF_STEP in names:
        return False
    return bool(_OF_RUN & names or _RUN_NAME.fullmatch(folder.name)) or any(entry.is_symlink() for entry in entries)


def _of_run(run: Path) -> Iterator[str]:
    """The names of what a run needs; UsageError where neither its result.json nor any link tells."""
    links = [entry.path for entry in os.scandir(run) if entry.is_symlink()]
    steps = _steps_of(run / "result.json")
    if steps is None and not links:
        raise _unknown(run, "it neither names its steps in result.json nor links to them")
    yield from (os.path.basename(os.readlink(link)) for link in links)
    yield from steps or ()
    for name in sorted(_TEXTS & set(os.listdir(run))):
        try:
            yield from _NAMED.findall((run / name).read_text(errors="replace"))
        except OSError as error:
            raise _unknown(run / name, f"cannot be read ({error.strerror})") from None


def _steps_of(path: Path) -> list[str] | None:
    """The names of the folders of the steps in a result.json; None where it names none, as earlier versions' may."""
    if not path.exists():
        return None
    steps = _read(path).get("steps")
    try:
        return None if steps is None else [str(step["folder"]).rpartition("/")[2] for step in steps.values()]
    except (AttributeError, TypeError, KeyError):
        raise _unknown(path, "its steps cannot be read") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_sealed(path)
    except Damaged as error:
        raise _unknown(path, str(error).removeprefix(f"{path} ")) from None


def _unknown(path: Path, why: str) -> UsageError:
    remedy = "restore it, or delete it if nothing of it is wanted"
    return UsageError(f"task=clean: {path}: {why}, so what it needs is not known and nothing was deleted; {remedy}")


def _key_of(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / "done").read_text())["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
