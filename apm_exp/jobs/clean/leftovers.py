"""Find the folders of steps that no run needs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from apm_exp.jobs.clean.folders import StepFolder, size_of, step_folders, unless_built
from apm_exp.jobs.clean.needed import Needed, needed
from apm_exp.pipeline.stage_table import STAGES


@dataclass(frozen=True)
class Leftover:
    """A path that no run needs. path: the folder itself, or the checkpoints in it. size: in bytes. why: the reason."""

    folder: StepFolder
    path: Path
    size: int
    why: str


def leftovers(root: Path) -> Iterator[Leftover]:
    """Yield the folders that no run needs, by kind and name, except those that a process is building."""
    wanted = needed(root)
    for folder in step_folders(root):
        part = unneeded(root, folder, wanted)
        if part is None:
            continue
        with unless_built(root, folder) as free:
            if free:
                path, why = part
                yield Leftover(folder, path, size_of(path), why)


def unneeded(root: Path, folder: StepFolder, wanted: Needed) -> tuple[Path, str] | None:
    """Return the path that no run needs, the folder or its checkpoints, and the reason; None if all of it is needed."""
    why = _why(root, folder, wanted)
    checkpoints = folder.path / "checkpoints"
    if why is not None:
        return folder.path, why
    if folder.kind == "policy" and folder.is_done and checkpoints.is_dir() and not checkpoints.is_symlink():
        return checkpoints, "checkpoints of a finished training"
    return None


def _why(root: Path, folder: StepFolder, wanted: Needed) -> str | None:
    if folder.aside == "damaged":
        return "set aside because it was damaged"
    if folder.aside == "replaced":
        only_copy = wanted.has(folder) and not (root / folder.kind / folder.name / "done").is_file()
        return None if only_copy else "replaced by a newer build"
    if folder.is_done:
        return None if wanted.has(folder) else "no run or sweep uses it"
    return None if wanted.has(folder) and goes_on(folder) else "half-written by an attempt that ended"


def goes_on(folder: StepFolder) -> bool:
    """Return whether the folder of an unfinished step has work from which its command would resume."""
    pattern = STAGES[folder.kind].resumes_from
    return pattern is not None and not folder.is_done and any(folder.path.glob(pattern))
