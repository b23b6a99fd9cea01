"""Training of a policy on selected pairs. Heavy imports are lazy, as plans and reused runs import this module too."""

from typing import Annotated, Any, Literal

from pydantic import Field

from apm_exp.core.component import UNHASHED
from apm_exp.core.ranges import Batch, BelowOne, Count, Epochs, LearningRate, NotNegative, Positive, Share
from apm_exp.training.task import Settings, TrainingTask

Schedule = Literal[
    "cosine",
    "linear",
    "constant",
    "constant_with_warmup",
    "polynomial",
    "inverse_sqrt",
    "cosine_with_restarts",
    "cosine_with_min_lr",  # needs trainer.args.lr_scheduler_kwargs, as does the next
    "warmup_stable_decay",
]


def train_policy(
    task: TrainingTask,
    *,
    implementation: Literal["pairs", "trl"],
    learning_rate: LearningRate,
    epochs: Epochs,
    global_batch: Batch,
    warmup_ratio: Share,
    lr_scheduler: Schedule,
    optimizer: str,
    weight_decay: NotNegative,
    adam_beta1: BelowOne,
    adam_beta2: BelowOne,
    adam_epsilon: Annotated[float, Field(gt=0, le=1)],
    max_grad_norm: Positive | None,
    gradient_checkpointing: Annotated[bool, UNHASHED],
    torch_compile: bool,
    log_every: Annotated[Count, UNHASHED],
    save_every: Annotated[Count | None, UNHASHED],
    keep_checkpoints: Annotated[int, Field(ge=0), UNHASHED],
    args: dict[str, Any],
) -> dict[str, int | float]:
    """Train the task's policy on its pairs, each once per epoch, and write `final/` and metrics.jsonl into its folder.

    Resumes from the newest complete checkpoint there. Returns the counts: pairs, steps, moved. Raises ValueError for
    settings that do not fit together, for numbers that are not finite, and if memory runs out.
    """
    settings = locals()
    from apm_exp.training.run import run

    return run(task, Settings(**{name: settings[name] for name in Settings.__dataclass_fields__}))
