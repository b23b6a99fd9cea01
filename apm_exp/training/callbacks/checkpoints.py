"""Verified checkpoints: a marker file, written last, holds the size and sha256 of every file."""

import hashlib
import logging
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from accelerate import PartialState
from transformers import TrainerCallback

from apm_exp.core.sealed import Damaged, read_sealed, write_sealed

logger = logging.getLogger(__name__)
MARKER = "COMPLETE"
_ASIDE = "damaged-checkpoint"
_FILES_AT_ONCE = 4  # files read and hashed in parallel; ZeRO writes two per process
Content = dict[str, dict[str, Any]]


class State(Protocol):
    """An object that saves its state in a checkpoint."""

    def save(self, folder: Path) -> None:
        """Write the state to a file in the folder."""


class MarkComplete(TrainerCallback):
    """A callback that adds our own states and the marker to each checkpoint and then removes old checkpoints.

    It keeps the newest `keep`, and at least two, so that there is one to fall back on if the newest is damaged.
    """

    def __init__(self, states: Sequence[State], how: dict[str, Any], keep: int) -> None:
        self.states, self.how, self.keep = states, how, keep

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Finish a checkpoint that transformers has written; the main process waits for the files of all processes."""
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            for part in self.states:
                part.save(folder)
            mark_complete(folder, self.how)
            keep_newest(folder.parent, max(KEPT_MEANWHILE, self.keep))


def mark_complete(folder: Path, how: dict[str, Any]) -> None:
    """Write the marker. how: the settings that a run must share with this one to resume from the checkpoint."""
    write_sealed({"how": how, "files": _content(folder)}, folder / MARKER)


def newest_complete(folder: Path, how: dict[str, Any]) -> Path | None:
    """Return the newest checkpoint that is complete and unchanged, or None.

    Newer ones that are not usable are named in a warning: an incomplete one, which a kill leaves, is removed; a damaged
    one is renamed. Raises ValueError if the checkpoint was made with other settings than `how`.
    """
    for checkpoint in _newest_first(folder):
        if not (checkpoint / MARKER).exists():
            logger.warning("%s is incomplete: skipped and removed", checkpoint)
            shutil.rmtree(checkpoint)
        elif fault := _fault(checkpoint):
            aside = checkpoint.with_name(f"{_ASIDE}-{step_of(checkpoint)}")
            shutil.rmtree(aside, ignore_errors=True)
            checkpoint.rename(aside)
            logger.warning("%s: %s; renamed to %s and removed when the training is done", checkpoint, fault, aside.name)
        else:
            _check_same(checkpoint, how)
            return checkpoint
    return None


def how_made(zero_stage: int | None, processes: int) -> dict[str, Any]:
    """Return the settings that an attempt must share to resume from a checkpoint: ZeRO shards the optimizer state."""
    return {"zero_stage": zero_stage} | ({"processes": processes} if zero_stage else {})


def keep_newest(folder: Path, count: int) -> None:
    """Remove all but the newest `count` checkpoints, and the folder if it is empty."""
    for checkpoint in _newest_first(folder)[count:]:
        # if a kill interrupts the removal, the checkpoint counts as incomplete
        (checkpoint / MARKER).unlink(missing_ok=True)
        shutil.rmtree(checkpoint)
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()


def leave_newest(folder: Path, count: int) -> None:
    """Clean up after a finished training: keep the newest `count` checkpoints and remove those that were set aside."""
    for aside in folder.glob(f"{_ASIDE}-*"):
        shutil.rmtree(aside)
    keep_newest(folder, count)


def step_of(checkpoint: Path) -> int:
    """Return the number of optimizer steps at a checkpoint."""
    return int(checkpoint.name.rpartition("-")[2])


def _newest_first(folder: Path) -> list[Path]:
    checkpoints = (path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit())
    return sorted(checkpoints, key=step_of, reverse=True)


def _check_same(checkpoint: Path, how: dict[str, Any]) -> None:
    made = read_sealed(checkpoint / MARKER)["how"]
    if made != how:
        raise ValueError(
            f"{_settings(how)}: {checkpoint} was made with {_settings(made)}; use these settings to resume, or remove "
            f"{checkpoint.parent} to start from the beginning"
        )


def _settings(how: dict[str, Any]) -> str:
    stage = how["zero_stage"]
    return f"deepspeed=zero{stage} runtime.processes={how['processes']}" if stage else "deepspeed=none"


def _fault(checkpoint: Path) -> str | None:
    """Return what differs from the recorded files, as text, or None."""
    try:
        written, there = read_sealed(checkpoint / MARKER, "how", "files")["files"], _content(checkpoint)
    except Damaged:
        return f"{MARKER} is damaged"
    except OSError as error:
        return f"cannot be read ({error})"
    if lost := sorted(written.keys() - there.keys()):
        return f"{lost[0]} is missing"
    changed = sorted(name for name, content in there.items() if content != written.get(name))
    return f"{changed[0]} has changed since it was written" if changed else None


def _content(folder: Path) -> Content:
    """Return the size and sha256 of each file of a checkpoint, by name, without the marker."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MARKER]
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        return dict(zip((path.relative_to(folder).as_posix() for path in files), pool.map(_look, files), strict=True))


def _look(file: Path) -> dict[str, Any]:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return {"size": file.stat().st_size, "sha256": digest}


KEPT_MEANWHILE = 2  # checkpoints kept during a training: the newest, and the previous one in case the newest is damaged
