"""Checkpoints that can be trusted: complete ones carry a marker, written last, with size and sha256 of every file."""

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
_FILES_AT_ONCE = 4  # are read and hashed: ZeRO writes two a process
Content = dict[str, dict[str, Any]]


class State(Protocol):
    """What keeps itself in a checkpoint."""

    def save(self, folder: Path) -> None:
        """Write a file of its own."""


class MarkComplete(TrainerCallback):
    """Adds the other states of a training and the marker to each checkpoint; then the older ones go, but `keep` and
    the one before, which is used where the newest is damaged.
    """

    def __init__(self, states: Sequence[State], how: dict[str, Any], keep: int) -> None:
        self.states, self.how, self.keep = states, how, keep

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called in each process when it has written its files of a checkpoint; the first waits for all of them."""
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            for one in self.states:
                one.save(folder)
            mark_complete(folder, self.how)
            keep_newest(folder.parent, max(KEPT_MEANWHILE, self.keep))


def mark_complete(folder: Path, how: dict[str, Any]) -> None:
    """Write the marker. how: what a run must share with this one to go on from the checkpoint."""
    write_sealed({"how": how, "files": _content(folder)}, folder / MARKER)


def newest_complete(folder: Path, how: dict[str, Any]) -> Path | None:
    """The checkpoint with the most steps that is complete and as it was written, or None.

    Newer ones are named in a warning: a half-written one, which a kill leaves, is removed, a damaged one set aside.
    Raises ValueError where it was made in another way.
    """
    for checkpoint in _newest_first(folder):
        if not (checkpoint / MARKER).exists():
            logger.warning("%s is half-written: skipped and removed", checkpoint)
            shutil.rmtree(checkpoint)
        elif fault := _fault(checkpoint):
            aside = checkpoint.with_name(f"{_ASIDE}-{step_of(checkpoint)}")
            shutil.rmtree(aside, ignore_errors=True)
            checkpoint.rename(aside)
            logger.warning("%s: %s; moved to %s until the training is done", checkpoint, fault, aside.name)
        else:
            _check_same(checkpoint, how)
            return checkpoint
    return None


def how_made(zero_stage: int | None, processes: int) -> dict[str, Any]:
    """What a training must share with an attempt whose checkpoint it goes on from: ZeRO divides its states."""
    return {"zero_stage": zero_stage} | ({"processes": processes} if zero_stage else {})


def keep_newest(folder: Path, count: int) -> None:
    """Remove all but the newest `count` checkpoints, and an empty folder."""
    for checkpoint in _newest_first(folder)[count:]:
        (checkpoint / MARKER).unlink(missing_ok=True)  # a kill in the middle leaves a half-written one
        shutil.rmtree(checkpoint)
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()


def leave_newest(folder: Path, count: int) -> None:
    """What is left of a training that is done: the newest `count` checkpoints, and none that was set aside."""
    for aside in folder.glob(f"{_ASIDE}-*"):
        shutil.rmtree(aside)
    keep_newest(folder, count)


def step_of(checkpoint: Path) -> int:
    """The optimizer steps behind a checkpoint."""
    return int(checkpoint.name.rpartition("-")[2])


def _newest_first(folder: Path) -> list[Path]:
    found = (path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit())
    return sorted(found, key=step_of, reverse=True)


def _check_same(checkpoint: Path, how: dict[str, Any]) -> None:
    made = read_sealed(checkpoint / MARKER)["how"]
    if made != how:
        raise ValueError(
            f"{_settings(how)}: {checkpoint} was made with {_settings(made)}; give that to resume from it, or remove "
            f"{checkpoint.parent} to start again"
        )


def _settings(how: dict[str, Any]) -> str:
    stage = how["zero_stage"]
    return f"deepspeed=zero{stage} runtime.processes={how['processes']}" if stage else "deepspeed=none"


def _fault(checkpoint: Path) -> str | None:
    """What is not as it was written, or None."""
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
    """Size and sha256 of each file of a checkpoint but the marker, by its name."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MARKER]
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        return dict(zip((path.relative_to(folder).as_posix() for path in files), pool.map(_look, files), strict=True))


def _look(file: Path) -> dict[str, Any]:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return {"size": file.stat().st_size, "sha256": digest}


KEPT_MEANWHILE = 2  # checkpoints of a training: the newest, and the one before in case that one is damaged
