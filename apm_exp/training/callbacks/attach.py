"""The callbacks of a training: counting, logging, guards, checkpoint markers and progress."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import PrinterCallback

from apm_exp.training.callbacks import checkpoints
from apm_exp.training.callbacks.consumption import Consumption
from apm_exp.training.callbacks.guards import GradientGuard
from apm_exp.training.callbacks.metrics_log import MetricsLog
from apm_exp.training.callbacks.progress_bar import StepProgress
from apm_exp.training.deepspeed_setup import stage_of
from apm_exp.training.losses.history import History
from apm_exp.training.task import TrainingTask

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Watch:
    """The callbacks of one training and the state that its checkpoints keep.

    history: the loss's own state. how: the settings that a run must share with an earlier attempt to resume from its
    checkpoint.
    """

    consumption: Consumption
    history: History
    metrics: MetricsLog
    guard: GradientGuard
    progress: StepProgress
    marker: checkpoints.MarkComplete
    folder: Path
    how: dict[str, Any]


def watch(task: TrainingTask, processes: int, keep_checkpoints: int) -> Watch:
    """Create the callbacks of a task's training before its first step."""
    consumption, history = Consumption(task.pairs["pair_id"].to_pylist()), History(task.seed)
    how = checkpoints.how_made(stage_of(task.deepspeed), processes)
    metrics = MetricsLog(task.out / "metrics.jsonl", consumption, task.log)
    return Watch(
        consumption=consumption,
        history=history,
        metrics=metrics,
        guard=GradientGuard(consumption),
        progress=StepProgress(),
        marker=checkpoints.MarkComplete((consumption, history, metrics), how, keep_checkpoints),
        folder=task.out / "checkpoints",
        how=how,
    )


def attach(onlookers: Watch, trainer: Any) -> None:
    """Add the callbacks to a trainer and remove transformers' PrinterCallback."""
    onlookers.guard.trainer = trainer
    trainer.remove_callback(PrinterCallback)
    for callback in (onlookers.metrics, onlookers.guard, onlookers.progress, onlookers.marker):
        trainer.add_callback(callback)


def go_on(onlookers: Watch) -> str | None:
    """Restore counts and metrics from the newest complete checkpoint and return its path, or None if there is none.

    The first process searches for the checkpoint and broadcasts it to the others.
    """
    checkpoint = None
    if PartialState().is_main_process:
        checkpoint = checkpoints.newest_complete(onlookers.folder, onlookers.how)
        onlookers.metrics.go_on_from(checkpoint)
        if checkpoint:
            logger.info("training resumes from optimizer step %d", checkpoints.step_of(checkpoint))
    checkpoint = broadcast_object_list([checkpoint])[0]
    if checkpoint is None:
        return None
    onlookers.consumption.load(checkpoint)
    onlookers.history.load(checkpoint)
    return str(checkpoint)
