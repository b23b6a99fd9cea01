"""One training from the first step, or the newest complete checkpoint, to the saved and checked policy."""

import gc
import logging
import os
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from transformers import PrinterCallback

from apm_exp import component
from apm_exp.runtime import Runtime
from apm_exp.scoring import out_of_memory, padded_tokens
from apm_exp.training import checkpoints
from apm_exp.training.arguments import training_arguments
from apm_exp.training.batching import Batching, batching
from apm_exp.training.consumption import Consumption
from apm_exp.training.deepspeed_setup import deepspeed_session, stage_of
from apm_exp.training.finish import check_final, logps_of, save_final
from apm_exp.training.guards import GradientGuard
from apm_exp.training.implicit_reward import beta_of, reads_reference
from apm_exp.training.metrics_log import MetricsLog
from apm_exp.training.model_for_training import model_for_training
from apm_exp.training.pair_dataset import TrainingPair, collate, training_pairs
from apm_exp.training.progress_bar import StepProgress
from apm_exp.training.settings import Settings, TrainingTask
from apm_exp.training.trainer import Objective, PairTrainer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Watch:
    """What looks on at a training: the callbacks that count, log, guard and mark."""

    consumption: Consumption
    metrics: MetricsLog
    guard: GradientGuard
    progress: StepProgress
    how: dict[str, Any]

    def attach(self, trainer: Any) -> None:
        """Add the callbacks to a trainer, and take away the one that prints."""
        self.guard.trainer = trainer
        trainer.remove_callback(PrinterCallback)
        for callback in (self.metrics, self.guard, self.progress, checkpoints.MarkComplete(self.consumption, self.how)):
            trainer.add_callback(callback)


def run(task: TrainingTask, settings: Settings, implementation: str) -> dict[str, int | float]:
    """Train as `implementation` ("pairs" or "trl") says; returns the number of pairs and steps."""
    runtime: Runtime = component.bind("runtime", task.runtime)()
    if runtime.device.startswith("cuda:") and runtime.device != "cuda:0":
        index = runtime.device.partition(":")[2]
        raise ValueError(
            f"runtime.device={runtime.device}: training takes the first GPU that it sees; set CUDA_VISIBLE_DEVICES={index} "
            "and runtime.device=cuda"
        )
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    pairs = training_pairs(task.pairs)
    batches = batching(
        pairs=len(pairs),
        global_batch=settings.global_batch,
        epochs=settings.epochs,
        pairs_per_device=runtime.pairs_per_device,
        processes=processes,
    )
    watch = _watch(task, processes)
    make = _trl_trainer if implementation == "trl" else _pair_trainer
    with deepspeed_session(task.deepspeed, runtime.device):
        trainer = make(task, settings, batches, runtime.device, pairs, watch)
        steps = _train(trainer, watch, settings, batches)
        probe = min((pair.tokens for pair in pairs), key=padded_tokens)
        save_final(trainer, task.policy, task.out / "final")
        expected = logps_of(trainer.model, probe)
        del trainer
    gc.collect()
    check_final(task.out / "final", task.policy, runtime.device, probe, expected)
    checkpoints.keep_newest(task.out / "checkpoints", settings.keep_checkpoints)
    return {"pairs": len(pairs), "steps": steps}


def _watch(task: TrainingTask, processes: int) -> Watch:
    consumption = Consumption(task.pairs["pair_id"].to_pylist())
    return Watch(
        consumption=consumption,
        metrics=MetricsLog(task.out / "metrics.jsonl", consumption, task.log),
        guard=GradientGuard(consumption),
        progress=StepProgress(),
        how={"zero_stage": stage_of(task.deepspeed), "processes": processes},
    )


def _pair_trainer(
    task: TrainingTask, settings: Settings, batches: Batching, device: str, pairs: list[TrainingPair], watch: Watch
) -> PairTrainer:
    arguments = training_arguments(settings, task, batches, device)  # before the model: ZeRO-3 loads it in parts
    loss = component.bind("loss", task.loss)
    return PairTrainer(
        objective=Objective(loss, beta_of(dict(task.loss)), reads_reference(loss), task.policy.dtype),
        consumption=watch.consumption,
        model=_model(task, settings, device),
        args=arguments,
        train_dataset=pairs,
        data_collator=collate,
    )


def _trl_trainer(
    task: TrainingTask, settings: Settings, batches: Batching, device: str, pairs: list[TrainingPair], watch: Watch
) -> Any:
    from apm_exp.training.trl_reference import trl_trainer

    arguments = partial(training_arguments, settings, task, batches, device)
    return trl_trainer(task, arguments, lambda: _model(task, settings, device), pairs, watch.consumption)


def _model(task: TrainingTask, settings: Settings, device: str) -> Any:
    return model_for_training(
        task.policy,
        device,
        deepspeed=bool(task.deepspeed),
        gradient_checkpointing=settings.gradient_checkpointing,
    )


def _train(trainer: Any, watch: Watch, settings: Settings, batches: Batching) -> int:
    """Run the trainer to its last step, from the newest complete checkpoint; returns the number of steps."""
    watch.attach(trainer)
    checkpoint = checkpoints.newest_complete(watch.metrics.path.parent / "checkpoints", watch.how)
    watch.metrics.go_on_after(checkpoints.step_of(checkpoint) if checkpoint else 0)
    if checkpoint:
        logger.info("training goes on from step %d", checkpoints.step_of(checkpoint))
        watch.consumption.load(checkpoint)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise ValueError(_memory(trainer, watch, batches)) from error
    finally:
        watch.progress.close()
    state = trainer.state
    assert state.global_step >= state.max_steps, f"training stopped at step {state.global_step} of {state.max_steps}"
    watch.consumption.assert_exact(None if "max_steps" in settings.args else settings.epochs)
    return int(state.global_step)


def _memory(trainer: Any, watch: Watch, batches: Batching) -> str:
    half = max(1, batches.per_device // 2)
    remedy = f"set runtime.pairs_per_device={half}" if batches.per_device > 1 else "shorten tokens.max_length"
    return (
        f"runtime.pairs_per_device={batches.per_device}: out of memory at step {trainer.state.global_step + 1}, with the "
        f"pairs {', '.join(watch.consumption.step_ids[-batches.per_device :])}; {remedy}, or "
        "trainer.gradient_checkpointing=true, and run again: it goes on from the last checkpoint"
    )
