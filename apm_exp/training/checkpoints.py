"""Checkpoints that can be trusted: complete ones carry a marker, written last, with the size of every file."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from apm_exp.files import write_json
from apm_exp.training.consumption import Consumption

logger = logging.getLogger(__name__)
MARKER = "COMPLETE"


class MarkComplete(TrainerCallback):
    """Adds the consumed pairs and the marker to each checkpoint that is saved; then the older ones go, but `keep`."""

    def __init__(self, consumption: Consumption, how: dict[str, Any], keep: int) -> None:
        self.consumption, self.how, self.keep = consumption, how, keep

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called when all of a checkpoint's files are written."""
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            self.consumption.save(folder)
            mark_complete(folder, self.how)
            keep_newest(folder.parent, max(1, self.keep))


def mark_complete(folder: Path, how: dict[str, Any]) -> None:
    """Write the marker. how: what a run must share with this one to go on from the checkpoint."""
    write_json({"how": how, "files": _sizes(folder)}, folder / MARKER)


def newest_complete(folder: Path, how: dict[str, Any]) -> Path | None:
    """The checkpoint with the most steps that is complete and was made in the same way, or None.

    Newer ones that are not are named in a warning and removed.
    """
    for checkpoint in _newest_first(folder):
        fault = _fault(checkpoint, how)
        if fault is None:
            return checkpoint
        logger.warning("%s %s: skipped and removed", checkpoint, fault)
        shutil.rmtree(checkpoint)
    return None


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


def _fault(checkpoint: Path, how: dict[str, Any]) -> str | None:
    try:
        marker = json.loads((checkpoint / MARKER).read_text())
        files, made = marker["files"], marker["how"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return "is half-written"
    if files != _sizes(checkpoint):
        return "has lost files or parts of them"
    if made != how:
        return f"was made with {made}, and this run has {how}"
    return None


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MARKER)
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}
