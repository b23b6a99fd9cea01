"""The writer of metrics.jsonl: one JSON object per logged optimizer step, flushed at once; the report reads it."""

import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from apm_exp.core.files import write_text
from apm_exp.training.callbacks.collapse import CollapseAlarm
from apm_exp.training.callbacks.consumption import Consumption
from apm_exp.training.metrics_file import read_rows

logger = logging.getLogger(__name__)


class MetricsLog(TrainerCallback):
    """A callback that appends each logged optimizer step to metrics.jsonl and passes the row to `mirror`.

    If the training shows a sign of divergence, the row's list `collapse` has it as a sentence, and a warning is logged.
    """

    def __init__(self, path: Path, consumption: Consumption, mirror: Callable[[dict[str, Any]], None]) -> None:
        self.path, self.consumption, self.mirror = path, consumption, mirror
        self.alarm = CollapseAlarm()
        self.started, self.seconds_before = time.monotonic(), 0.0

    def save(self, folder: Path) -> None:
        """Save the rows so far in a checkpoint."""
        write_text("".join(json.dumps(row) + "\n" for row in read_rows(self.path)), folder / self.path.name)

    def go_on_from(self, checkpoint: Path | None) -> None:
        """Restore the rows of a checkpoint (None: no rows), as the optimizer steps after it are trained again."""
        before = (checkpoint / self.path.name).read_text(encoding="utf-8") if checkpoint else ""
        if not _text(self.path).startswith(before):
            logger.warning("%s: damaged; restored up to the optimizer step of %s", self.path, checkpoint)
        write_text(before, self.path)
        rows = read_rows(self.path)
        self.seconds_before = rows[-1]["seconds"] if rows else 0.0

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Write the row of an optimizer step; the trainer's final summary is not a row."""
        if not state.is_world_process_zero or logs is None or "loss" not in logs:
            return
        seconds = round(self.seconds_before + time.monotonic() - self.started, 3)
        row: dict[str, Any] = {"step": state.global_step, "pairs_seen": self.consumption.total, "seconds": seconds}
        row |= {name: _number(value) for name, value in logs.items()}
        if signs := self.alarm.look(row):
            row["collapse"] = signs
            logger.warning("step %d: %s; lower trainer.learning_rate", state.global_step, " and ".join(signs))
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")
        self.mirror(row)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _number(value: Any) -> float | None:
    """Return a number as JSON can hold it: infinity and NaN become null."""
    return float(value) if math.isfinite(value) else None
