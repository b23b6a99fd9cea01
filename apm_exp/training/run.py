"""One training: from the first optimizer step or the newest complete checkpoint to the saved and checked policy."""

import gc
import os
from typing import Any

from apm_exp.core import component
from apm_exp.models.halving import out_of_memory
from apm_exp.models.quiet import quiet
from apm_exp.runtime.settings import Runtime
from apm_exp.runtime.signals import sigterm_noted
from apm_exp.training.adapters.merge import merge
from apm_exp.training.adapters.preflight import adapter_of
from apm_exp.training.batching import Batching, batching
from apm_exp.training.callbacks import checkpoints
from apm_exp.training.callbacks.attach import Watch, attach, go_on, watch
from apm_exp.training.callbacks.guards import named
from apm_exp.training.callbacks.stop import StopCallback
from apm_exp.training.deepspeed_setup import deepspeed_session
from apm_exp.training.finish import check_final, logps_of, save_final
from apm_exp.training.make_trainer import make_trainer
from apm_exp.training.moved import share_moved
from apm_exp.training.objective import check_objective
from apm_exp.training.pair_dataset import training_pairs
from apm_exp.training.preflight import check_first_gpu, check_one_process
from apm_exp.training.task import Settings, TrainingTask


def run(task: TrainingTask, settings: Settings) -> dict[str, int | float]:
    """Train, save and check the policy; returns the number of pairs and of optimizer steps, and the share of
    the weights that moved (see `share_moved`).

    Each process that a launcher started calls this with the same task; the first one writes.
    """
    runtime: Runtime = component.bind("runtime", task.runtime)()
    first = os.environ.get("RANK", "0") == "0"
    _check_runtime(runtime, settings.implementation)
    pairs = training_pairs(task.pairs)
    check_objective(task.loss, pairs, task.pairs["pair_id"].to_pylist())
    batches = batching(
        pairs=len(pairs),
        global_batch=settings.global_batch,
        epochs=settings.epochs,
        pairs_per_device=runtime.pairs_per_device,
        processes=runtime.processes,
    )
    onlookers = watch(task, runtime.processes, settings.keep_checkpoints)
    longest = max((pair.tokens for pair in pairs), key=lambda tokens: tokens.length)
    adapter, final = adapter_of(task.adapter), task.out / "final"
    saved = final if adapter is None else task.out / "adapter"
    with quiet(), deepspeed_session(task.deepspeed, runtime.device):
        trainer = make_trainer(task, settings, batches, runtime.device, pairs, onlookers)
        steps = _train(trainer, onlookers, settings, batches)
        save_final(trainer, task.policy, saved)
        trained = logps_of(trainer.model, longest)
        folder = onlookers.folder
        del trainer, onlookers  # frees the optimizer's states before the saved policy is loaded
    gc.collect()
    if first:
        if adapter is not None:
            merge(saved, final, task.policy, adapter, runtime.device, longest, trained)
        check_final(final, task.policy, runtime.device, longest, trained)
        checkpoints.leave_newest(folder, settings.keep_checkpoints)
    moved = share_moved(task.policy.folder, final) if first else None
    return {"pairs": len(pairs), "optimizer_steps": steps} | ({} if moved is None else {"moved": moved})


def _check_runtime(runtime: Runtime, implementation: str) -> None:
    if (started := int(os.environ.get("WORLD_SIZE", "1"))) != runtime.processes:
        remedy = f"start the command without a launcher and with runtime.processes={started}"
        raise ValueError(f"WORLD_SIZE={started}: differs from runtime.processes={runtime.processes}; {remedy}")
    check_one_process(implementation, runtime.processes)
    check_first_gpu(runtime.device)


def _train(trainer: Any, onlookers: Watch, settings: Settings, batches: Batching) -> int:
    """Run the trainer to its last optimizer step and return the number of steps. It starts where go_on says.

    Raises Stopped if SIGTERM stopped it.
    """
    attach(onlookers, trainer)
    checkpoint = go_on(onlookers)
    try:
        with sigterm_noted() as asked:
            trainer.add_callback(stop := StopCallback(asked))
            trainer.train(resume_from_checkpoint=checkpoint)
            stop.check(trainer.state)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise ValueError(_memory(trainer, onlookers, batches)) from error
    finally:
        onlookers.progress.close()
    state = trainer.state
    assert state.global_step >= state.max_steps, (
        f"training stopped at optimizer step {state.global_step} of {state.max_steps}"
    )
    onlookers.consumption.assert_exact(None if "max_steps" in settings.args else settings.epochs)
    return int(state.global_step)


def _memory(trainer: Any, onlookers: Watch, batches: Batching) -> str:
    now = batches.per_device
    remedy = f"set runtime.pairs_per_device={now // 2}" if now > 1 else "lower tokens.max_length"
    return (
        f"runtime.pairs_per_device={now}: out of memory at optimizer step {trainer.state.global_step + 1} with pairs "
        f"{named(onlookers.consumption.forward_ids)}; {remedy}, or trainer.gradient_checkpointing=true; "
        "re-run the command with the change to resume from the last checkpoint"
    )
