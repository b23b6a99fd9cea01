"""Checkpoints that can be trusted: complete ones carry a marker, written last, with the size of every file."""

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from accelerate import PartialState
from transformers import TrainerCallback

from apm_exp.files import write_json

logger = logging.getLogger(__name__)
MARKER = "COMPLETE"


class State(Protocol):
    """What keeps itself in a checkpoint."""

    def save(self, folder: Path) -> None:
        """Write a file of its own."""


class MarkComplete(TrainerCallback):
    """Adds the other states of a training and the marker to each checkpoint; then the older ones go, but `keep`."""

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
            keep_newest(folder.parent, max(1, self.keep))


def mark_complete(folder: Path, how: dict[str, Any]) -> None:
    """Write the marker. how: what a run must share with this one to go on from the checkpoint."""
    write_json({"how": how, "files": _sizes(folder)}, folder / MARKER)


def newest_complete(folder: Path, how: dict[str, Any]) -> Path | None:
    """The checkpoint with the most steps that is complete, or None.

    Newer ones that are not are named in a warning and removed. Raises ValueError where it was made in another way.
    """
    for checkpoint in _newest_first(folder):
        fault = _fault(checkpoint)
        if fault is None:
            _check_same(checkpoint, how)
            return checkpoint
        logger.warning("%s %s: skipped and removed", checkpoint, fault)
        shutil.rmtree(checkpoint)
    return None


def how_made(zero_stage: int | None, processes: int) -> dict[str, Any]:
    """What a training must share with an attempt whose checkpoint it goes on from: ZeRO divides its states."""
    return {"zero_stage": zero_stage} | ({"processes": processes} if zero_stage else {})


def keep_newest(folder: Path, count: int) -> None:
    """Remove all but the newest `count` checkpoints, and an empty folder."""
    for checkpoint in _newest_first(folder)[count:]:
        shutil.rmtree(checkpoint)
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()


def step_of(checkpoint: Path) -> int:
    """The optimizer steps behind a checkpoint."""
    return int(checkpoint.name.rpartition("-")[2])


def _newest_first(folder: Path) -> list[Path]:
    found = (path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit())
    return sorted(found, key=step_of, reverse=True)


def _check_same(checkpoint: Path, how: dict[str, Any]) -> None:
    made = json.loads((checkpoint / MARKER).read_text())["how"]
    if made != how:
        raise ValueError(
            f"{_settings(how)}: {checkpoint} was made with {_settings(made)}; give that to go on from it, or remove "
            f"{checkpoint.parent} to begin again"
        )


def _settings(how: dict[str, Any]) -> str:
    stage = how["zero_stage"]
    return f"deepspeed=zero{stage} runtime.processes={how['processes']}" if stage else "deepspeed=none"


def _fault(checkpoint: Path) -> str | None:
    try:
        marker = json.loads((checkpoint / MARKER).read_text())
        files, _ = marker["files"], marker["how"]["zero_stage"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return "is half-written"
    return "has lost files or parts of them" if files != _sizes(checkpoint) else None


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MARKER)
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}
