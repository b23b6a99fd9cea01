"""Small trainings for the tests of several files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from omegaconf import OmegaConf
from safetensors.torch import load_file

from apm_exp.core import component
from apm_exp.core.types import Policy, TokenizedPair
from apm_exp.pipeline.stages.logps import SCHEMA
from apm_exp.training.metrics_file import read_rows
from apm_exp.training.task import TrainingTask
from tests.splits import ranks

CONF = Path(__file__).parents[2] / "conf"
DPO = {"_target_": "apm_exp.training.losses.dpo.dpo", "beta": 0.5}
SIMPO = {"_target_": "apm_exp.training.losses.simpo.simpo", "beta": 2.0, "gamma_beta_ratio": 0.3}


def runtime(**changes: Any) -> dict[str, Any]:
    """conf/runtime/auto.yaml on one thread of the CPU."""
    return {**_node("runtime/auto"), "device": "cpu", "threads": 1, "pairs_per_device": 4, **changes}


def trainer(**changes: Any) -> dict[str, Any]:
    """conf/trainer/pairs.yaml with small batches and a high learning rate."""
    return {**_node("trainer/pairs"), "learning_rate": 1e-3, "global_batch": 4, "save_every": None, **changes}


def deepspeed(name: str) -> dict[str, Any]:
    """One of conf/deepspeed."""
    return _node(f"deepspeed/{name}")


def _node(name: str) -> dict[str, Any]:
    node = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    assert isinstance(node, dict)
    return {str(key): value for key, value in node.items()}


def logps_table(
    pairs: Sequence[TokenizedPair], values: Sequence[tuple[float, float]], splits: Sequence[str]
) -> pa.Table:
    """Rows of logps.parquet for pairs p00, p01, ..."""
    columns = {
        "pair_id": [f"p{index:02d}" for index in range(len(pairs))],
        "prompt_ids": [pair.prompt_ids for pair in pairs],
        "chosen_ids": [pair.chosen_ids for pair in pairs],
        "rejected_ids": [pair.rejected_ids for pair in pairs],
        "chosen_logp": [chosen for chosen, _ in values],
        "rejected_logp": [rejected for _, rejected in values],
        "chosen_len": [len(pair.chosen_ids) for pair in pairs],
        "rejected_len": [len(pair.rejected_ids) for pair in pairs],
        "holdout_rank": ranks(splits),
    }
    return pa.table(columns, schema=SCHEMA)


def task(out: Path, policy: Policy, pairs: pa.Table, **changes: Any) -> TrainingTask:
    """A task with seed 1 on one CPU thread; pairs that bring no explicit margins have none."""
    if "explicit_margin" not in pairs.column_names:
        pairs = pairs.append_column("explicit_margin", pa.nulls(len(pairs), pa.float64()))
    given = {"loss": DPO, "seed": 1, "runtime": runtime(), "deepspeed": None, "log": lambda row: None, **changes}
    out.mkdir(parents=True, exist_ok=True)
    return TrainingTask(out=out, policy=policy, pairs=pairs, **given)


def moved(policy: Policy, out: Path) -> float:
    """The norm of what a training has added to all weights, in learning rates of `trainer`."""
    before, after = (load_file(folder / "model.safetensors") for folder in (Path(policy.folder), out / "final"))
    return sum(float((after[name] - weight).square().sum()) for name, weight in before.items()) ** 0.5 / 1e-3


def trained(given: TrainingTask, **changes: Any) -> list[dict[str, Any]]:
    """Train with `trainer(**changes)`; returns the rows of metrics.jsonl."""
    component.bind("trainer", trainer(**changes))(given)
    return read_rows(given.out / "metrics.jsonl")
