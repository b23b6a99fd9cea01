"""Stage: train the starting policy on the selected pairs, with the tokens and the log-probs that were scored."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp import component
from apm_exp.artifact import Artifact
from apm_exp.runtime import all_processes
from apm_exp.training.unfinished import say_unfinished
from apm_exp.training.unusual import warn_unusual
from apm_exp.types import Policy

VERSION = 3


def train(
    out: Path,
    *,
    policy: Policy,
    logps: Artifact,
    selection: Artifact,
    loss: dict[str, Any],
    trainer: dict[str, Any],
    seed: int,
    checkpoints: dict[str, Any],
    runtime: dict[str, Any],
    deepspeed: dict[str, Any] | None,
    log: Callable[[dict[str, Any]], None],
    adapter: dict[str, Any] | None = None,
    forward_pairs: int | list[int] | None = None,
) -> dict[str, int | float]:
    """Write final/ and metrics.jsonl, and with an adapter its own adapter/; returns the counts of pairs and steps.

    Reference log-probs are those of the logps artifact, so no reference model is loaded. An attempt that was
    killed goes on from its newest complete checkpoint (`checkpoints`: save_every, keep_checkpoints of the trainer
    node, which change no result). With more processes than one the work is done by so many processes, which
    write metrics.jsonl; `log` follows that file. forward_pairs: how many pairs a loss looks at together, and so a
    part of the training's key (pipeline.forward_pairs). Raises what the trainer component raises.
    """
    inputs: dict[str, Any] = {
        "policy": policy,
        "logps": logps,
        "selection": selection,
        "loss": loss,
        "trainer": trainer | checkpoints,
        "seed": seed,
        "runtime": runtime,
        "deepspeed": deepspeed,
        "adapter": adapter,
    }
    say_unfinished(out)
    warn_unusual(loss, trainer["learning_rate"], policy.folder, all_weights=adapter is None)
    if (processes := all_processes(runtime)) == 1:
        return train_here(out, **inputs, log=log)
    from apm_exp.ranks import run_in_ranks
    from apm_exp.training.follow import follow

    with follow(out / "metrics.jsonl", log):
        return run_in_ranks(train_here, out, inputs, processes)


def train_here(
    out: Path,
    *,
    logps: Artifact,
    selection: Artifact,
    trainer: dict[str, Any],
    log: Callable[[dict[str, Any]], None] = lambda row: None,
    **task: Any,
) -> dict[str, int | float]:
    """Train in this process, alone or as one of several. task: the other fields of TrainingTask."""
    from apm_exp.training.settings import TrainingTask

    pairs = selected_pairs(logps.path, selection.path)
    return component.bind("trainer", trainer)(TrainingTask(out=out, pairs=pairs, log=log, **task))


def selected_pairs(logps: Path, selection: Path) -> pa.Table:
    """The rows of logps.parquet that the selection keeps, by pair_id, with their explicit margins.

    Exactly those, and only of the train split.
    """
    chosen = pq.read_table(selection / "selection.parquet", columns=["pair_id", "explicit_margin", "kept"])
    chosen = chosen.filter(chosen["kept"]).sort_by("pair_id")
    kept = chosen["pair_id"].combine_chunks()
    table = pq.read_table(logps / "logps.parquet")
    rows = table.filter(pc.is_in(table["pair_id"], value_set=kept)).sort_by("pair_id")
    assert rows["pair_id"].to_pylist() == kept.to_pylist(), "a selected pair has no log-probs, or has them twice"
    assert set(rows["split"].to_pylist()) <= {"train"}, "a held-out pair was selected"
    if not len(rows):
        raise ValueError("keep: no pair was kept, so there is nothing to train on")
    return rows.append_column("explicit_margin", chosen["explicit_margin"])
