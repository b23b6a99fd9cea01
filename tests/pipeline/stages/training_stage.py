"""The train stage on a logps and a selection artifact of a test's folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from apm_exp.core.artifact import Artifact
from apm_exp.core.types import Policy
from apm_exp.pipeline.stages.train import train
from tests.splits import ranks
from tests.training.cases import DPO, runtime, trainer


def write_inputs(folder: Path, scored: pa.Table, splits: list[str], kept: list[bool]) -> None:
    """logps.parquet with these splits; rewards.parquet, whose margins are the rows' numbers; selection.parquet with the
    training rows, in another order.
    """
    for name in ("logps", "rewards", "selection"):
        (folder / name).mkdir()
    logps = scored.drop_columns("holdout_rank").append_column("holdout_rank", pa.array(ranks(splits)))
    pq.write_table(logps, folder / "logps" / "logps.parquet")
    rows = [row for row, split in enumerate(splits) if split == "train"][::-1]
    columns = {"pair_id": logps["pair_id"].take(rows), "kept": [kept[row] for row in rows]}
    pq.write_table(pa.table(columns), folder / "selection" / "selection.parquet")
    chosen = [row + 0.5 for row in range(len(logps))]
    rewards = {"pair_id": logps["pair_id"], "chosen_reward": chosen, "rejected_reward": [0.5] * len(logps)}
    pq.write_table(pa.table(rewards), folder / "rewards" / "rewards.parquet")


def part(folder: Path) -> dict[str, Artifact]:
    """The artifacts that `write_inputs` has left in a folder."""
    return {name: Artifact(name, folder / name, "k", {}, 0.0) for name in ("logps", "rewards", "selection")}


def run_stage(
    out: Path, folder: Path, policy: Policy, log: Callable[[dict[str, Any]], None], **changes: Any
) -> dict[str, int | float]:
    """Train for 2 epochs with a checkpoint every 2 steps; changes: other values of what the stage is given."""
    out.mkdir(exist_ok=True)
    given: dict[str, Any] = {
        "policy": policy,
        "parts": [part(folder)],
        "loss": DPO,
        "trainer": trainer(epochs=2),
        "checkpoints": {"save_every": 2, "keep_checkpoints": 0},
        "seed": 3,
        "runtime": runtime(pairs_per_device=2),
        "deepspeed": None,
        "log": log,
    }
    given |= changes
    given["trainer"] = given["trainer"] | given.pop("checkpoints")
    return train(out, **given)
