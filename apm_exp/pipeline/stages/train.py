"""Stage: train the starting policy on the selected pairs, with the tokens and the log-probs that were scored."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.core.types import Policy
from apm_exp.runtime.settings import all_processes
from apm_exp.selection.margins import COLUMNS, explicit_margin
from apm_exp.training.risky_settings import warn_unusual
from apm_exp.training.unfinished import say_unfinished

VERSION = 5


def train(
    out: Path,
    *,
    policy: Policy,
    logps: Artifact,
    rewards: Artifact | None,
    selection: Artifact,
    loss: dict[str, Any],
    trainer: dict[str, Any],
    seed: int,
    runtime: dict[str, Any],
    deepspeed: dict[str, Any] | None,
    log: Callable[[dict[str, Any]], None] = lambda row: None,
    adapter: dict[str, Any] | None = None,
    forward_pairs: int | list[int] | None = None,
) -> dict[str, int | float]:
    """Write final/ and metrics.jsonl, and with an adapter its own adapter/; returns the counts of pairs and steps.

    Reference log-probs are those of the logps artifact, so no reference model is loaded. An attempt that was killed
    resumes from its newest complete checkpoint. With more processes than one the work is done by so many processes,
    which write metrics.jsonl; `log` follows that file. forward_pairs: how many pairs a loss looks at together, and so a
    part of the training's key (pipeline.forward_pairs). Raises what the trainer component raises.
    """
    inputs: dict[str, Any] = {
        "policy": policy,
        "logps": logps,
        "rewards": rewards,
        "selection": selection,
        "loss": loss,
        "trainer": trainer,
        "seed": seed,
        "runtime": runtime,
        "deepspeed": deepspeed,
        "adapter": adapter,
    }
    say_unfinished(out)
    warn_unusual(
        loss, trainer["learning_rate"], policy.folder, all_weights=adapter is None, forward_pairs=forward_pairs
    )
    if (processes := all_processes(runtime)) == 1:
        return train_here(out, **inputs, log=log)
    from apm_exp.runtime.run_in_ranks import run_in_ranks
    from apm_exp.training.metrics_file import follow

    with follow(out / "metrics.jsonl", log):
        return run_in_ranks(train_here, out, inputs, processes)


def train_here(
    out: Path,
    *,
    logps: Artifact,
    rewards: Artifact | None,
    selection: Artifact,
    trainer: dict[str, Any],
    log: Callable[[dict[str, Any]], None] = lambda row: None,
    **task: Any,
) -> dict[str, int | float]:
    """Train in this process, alone or as one of several. task: the other fields of TrainingTask."""
    from apm_exp.training.task import TrainingTask

    pairs = selected_pairs(logps.path, rewards.path if rewards else None, selection.path)
    return component.bind("trainer", trainer)(TrainingTask(out=out, pairs=pairs, log=log, **task))


def selected_pairs(logps: Path, rewards: Path | None, selection: Path) -> pa.Table:
    """The rows of logps.parquet that the selection keeps, by pair_id, with their signed `explicit_margin`.

    Exactly those, and only of the train split. The margin is chosen minus rejected reward whatever the metric takes for
    one (reward.margin=max_min is of all responses), null without rewards.
    """
    chosen = pq.read_table(selection / "selection.parquet", columns=["pair_id", "kept"])
    kept = chosen.filter(chosen["kept"]).sort_by("pair_id")["pair_id"].combine_chunks()
    rows = _rows_of(kept, logps / "logps.parquet")
    assert rows["pair_id"].to_pylist() == kept.to_pylist(), "a selected pair has no log-probs, or has them twice"
    assert set(rows["split"].to_pylist()) <= {"train"}, "a held-out pair was selected"
    if not len(rows):
        raise ValueError("keep: no pair was kept, so there is nothing to train on")
    return rows.append_column("explicit_margin", _rewards_margin(kept, rewards))


def _rewards_margin(kept: pa.Array, rewards: Path | None) -> pa.Array | pa.ChunkedArray:
    if rewards is None:
        return pa.nulls(len(kept), pa.float64())
    rows = _rows_of(kept, rewards / "rewards.parquet", ["pair_id", *COLUMNS["chosen_minus_rejected"]])
    assert rows["pair_id"].to_pylist() == kept.to_pylist(), "a selected pair has no rewards, or has them twice"
    return pa.array(explicit_margin(rows, margin="chosen_minus_rejected"))


def _rows_of(pair_ids: pa.Array, path: Path, columns: list[str] | None = None) -> pa.Table:
    table = pq.read_table(path, columns=columns)
    return table.filter(pc.is_in(table["pair_id"], value_set=pair_ids)).sort_by("pair_id")
