"""The inputs of a training: the task that the stage passes, and the settings of the `trainer` node."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from apm_exp.core.types import Policy


@dataclass(frozen=True, eq=False)
class TrainingTask:
    """The inputs of a training besides the trainer's settings.

    pairs: the selected rows of logps.parquet. log: called with each row of metrics.jsonl. adapter: a node of
    conf/adapter.
    """

    out: Path
    policy: Policy
    pairs: pa.Table
    loss: Mapping[str, Any]
    seed: int
    runtime: Mapping[str, Any]
    deepspeed: Mapping[str, Any] | None
    log: Callable[[dict[str, Any]], None]
    adapter: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Settings:
    """The settings in conf/trainer/pairs.yaml, which documents them."""

    implementation: str
    learning_rate: float
    epochs: int
    global_batch: int
    warmup_ratio: float
    lr_scheduler: str
    optimizer: str
    weight_decay: float
    adam_beta1: float
    adam_beta2: float
    adam_epsilon: float
    max_grad_norm: float | None
    gradient_checkpointing: bool
    torch_compile: bool
    log_every: int
    save_every: int | None
    keep_checkpoints: int
    args: dict[str, Any]
