"""Creation of the trainer of a task: ours, or TRL's."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from apm_exp.training.adapters.preflight import adapter_of
from apm_exp.training.arguments import training_arguments
from apm_exp.training.batching import Batching
from apm_exp.training.callbacks.attach import Watch
from apm_exp.training.load_model import model_for_training
from apm_exp.training.objective import make_objective
from apm_exp.training.pair_dataset import TrainingPair, collate
from apm_exp.training.task import Settings, TrainingTask
from apm_exp.training.trainer import PairTrainer


def make_trainer(
    task: TrainingTask,
    settings: Settings,
    batches: Batching,
    device: str,
    pairs: Sequence[TrainingPair],
    onlookers: Watch,
) -> Any:
    """Return a transformers Trainer for the task's model and pairs, as settings.implementation says.

    The arguments are created before the model: with ZeRO-3 they switch transformers to loading the model in shards.
    """
    arguments = partial(training_arguments, settings, task, batches, device)
    adapter = adapter_of(task.adapter)
    model = partial(
        model_for_training,
        task.policy,
        device,
        deepspeed=bool(task.deepspeed),
        gradient_checkpointing=settings.gradient_checkpointing,
        adapter=adapter,
        seed=task.seed,
        compiled=settings.torch_compile,
    )
    if settings.implementation == "trl":
        from apm_exp.training.trl_reference import trl_trainer

        return trl_trainer(task, arguments, model, pairs, onlookers.consumption)
    made = arguments()
    precision = (adapter and adapter.precision) or task.policy.rounding
    return PairTrainer(
        batches=batches,
        objective=make_objective(task.loss, onlookers.history, precision),
        consumption=onlookers.consumption,
        model=model(),
        args=made,
        train_dataset=list(pairs),
        data_collator=partial(collate, stand_in=min(pairs, key=lambda pair: pair.tokens.length)),
    )
