"""Read the records of runs and sweeps, to know which steps they need."""

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
    """The steps that records need. names: <slug>-<key8> of the folders that they link to or name. keys: the keys of the
    policies that sweeps compare.
    """

    names: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)

    def has(self, folder: StepFolder) -> bool:
        """Return whether a record needs the step of this folder."""
        return folder.name in self.names or (bool(self.keys) and _key_of(folder.path) in self.keys)


def needed(root: Path) -> Needed:
    """Return the folders that records need. Raises UsageError for an unreadable record, whose steps would be deleted.

    A run needs the steps that its result.json names or that it links to, built or not, and those that its settings name
    (as model.path may). A sweep needs the reports of its jobs and the policies that it compares.
    """
    if not (root / "runs").is_dir() and next(step_folders(root), None):
        remedy = "copy or mount it there, or make an empty folder of this name if no step is needed"
        raise UsageError(f"task=clean: {root / 'runs'} is missing, so it is not known which steps are needed; {remedy}")
    result = Needed()
    for run in _records(root / "runs"):
        result.names.update(_of_run(run))
    for path in sorted((root / "sweeps").glob("**/jobs/*.json")):
        result.keys.add(str(_read(path).get("policy_key") or ""))
        result.names.update(_NAMED.findall(path.read_text(errors="replace")))
    result.keys.discard("")
    return result


def _records(parent: Path) -> Iterator[Path]:
    """Yield the folders of runs, in subfolders too. Names that start with a dot are skipped: the run is starting."""
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
    """Yield the names of the folders that a run needs. Raises UsageError if it has neither a result.json nor a link."""
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
    """Return the folder names of the steps in a result.json; None if it has no steps, as in earlier versions."""
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
    remedy = "restore it, or delete it if its steps are not needed"
    return UsageError(f"task=clean: {path}: {why}, so what it needs is not known and nothing was deleted; {remedy}")


def _key_of(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / "done").read_text())["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
