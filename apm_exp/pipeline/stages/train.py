"""Stage: train a policy on the selected pairs, with the tokens and reference log-probs of the logps stage."""

import logging
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.core.types import Policy
from apm_exp.pipeline.flops import Load, training_flops
from apm_exp.pipeline.stages.logps import longest_pair
from apm_exp.pipeline.step import read_done
from apm_exp.pipeline.work import Counts, Work
from apm_exp.runtime.settings import all_processes
from apm_exp.selection.kept_rows import TOKENS, Part, kept_ids, kept_rows, rows_of, tokens_of
from apm_exp.selection.margins import COLUMNS, explicit_margin
from apm_exp.training.few_steps import little_moved
from apm_exp.training.loss_reads import NO_REWARDS, reads_rewards
from apm_exp.training.metrics_file import read_rows
from apm_exp.training.risky_settings import warn_unusual
from apm_exp.training.unfinished import say_unfinished

logger = logging.getLogger(__name__)
VERSION = 8  # 8: the count optimizer_steps


def train(
    out: Path,
    *,
    policy: Policy,
    parts: Sequence[Part],
    loss: dict[str, Any],
    trainer: dict[str, Any],
    seed: int,
    runtime: dict[str, Any],
    deepspeed: dict[str, Any] | None,
    log: Callable[[dict[str, Any]], None] = lambda row: None,
    adapter: dict[str, Any] | None = None,
    forward_pairs: int | list[int] | None = None,
) -> dict[str, int | float]:
    """Write final/ and metrics.jsonl, and adapter/ if there is one.

    Return the counts of pairs and optimizer steps, and the share of the weights that moved.

    parts: logps, rewards and selection of each set of pairs to train on. Reference log-probs are those of the logps
    artifacts, so no reference model is loaded. A killed attempt resumes from its newest complete checkpoint. With more
    than one process, the ranks write metrics.jsonl, and `log` receives its rows from that file. forward_pairs: how many
    pairs the loss uses together, as a part of the step's key (see pipeline.forward_pairs). Raises what the trainer
    component raises.
    """
    inputs: dict[str, Any] = {
        "policy": policy,
        "parts": parts,
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
    counts = _train(out, inputs, all_processes(runtime), log)
    if said := little_moved(counts):
        logger.warning("%s", said)
    return counts


def _train(
    out: Path, inputs: dict[str, Any], processes: int, log: Callable[[dict[str, Any]], None]
) -> dict[str, int | float]:
    if processes == 1:
        return train_here(out, **inputs, log=log)
    from apm_exp.runtime.run_in_ranks import run_in_ranks
    from apm_exp.training.metrics_file import follow

    with follow(out / "metrics.jsonl", log):
        return run_in_ranks(train_here, out, inputs, processes)


def train_here(
    out: Path,
    *,
    parts: Sequence[Part],
    trainer: dict[str, Any],
    log: Callable[[dict[str, Any]], None] = lambda row: None,
    **task: Any,
) -> dict[str, int | float]:
    """Train in this process, which is the only one or one of several ranks. task: the other fields of TrainingTask."""
    from apm_exp.training.task import TrainingTask

    pairs = selected_pairs(parts)
    return component.bind("trainer", trainer)(TrainingTask(out=out, pairs=pairs, log=log, **task))


def selected_pairs(parts: Sequence[Part]) -> pa.Table:
    """Return the rows of logps.parquet that the parts keep, by pair_id, with their signed `explicit_margin`.

    The margin is always chosen minus rejected reward, even if the metric uses another (reward.margin=max_min uses all
    responses). It is null for all pairs if any of them has no rewards. Raises ValueError if no pair is kept, or if two
    parts keep the same pair.
    """
    rows = kept_rows(parts)
    if not len(rows):
        raise ValueError("keep: no pair was kept, so there is nothing to train on")
    margins = [_rewards_of(part) for part in parts]
    known = pa.concat_tables(margins).sort_by("pair_id")
    assert known["pair_id"].equals(rows["pair_id"]), "a selected pair has no rewards, or has them twice"
    if known["chosen_reward"].null_count:
        return rows.append_column("explicit_margin", pa.nulls(len(rows), pa.float64()))
    return rows.append_column("explicit_margin", pa.array(explicit_margin(known, margin="chosen_minus_rejected")))


def _rewards_of(part: Part) -> pa.Table:
    return rows_of(kept_ids(part), part["rewards"], "rewards.parquet", ["pair_id", *COLUMNS["chosen_minus_rejected"]])


def progress(folder: Path) -> int:
    """Return the last logged optimizer step of an unfinished attempt."""
    rows = read_rows(folder / "metrics.jsonl")
    return int(rows[-1]["step"]) if rows else 0


def bounds(inputs: Mapping[str, Any], known: Mapping[str, Counts]) -> Counts:
    """Return the maximum numbers of pairs and of optimizer steps."""
    kept = [known[part["selection"].key].get("kept") for part in inputs["parts"]]
    if None in kept:
        return {}
    pairs, trainer = int(sum(count or 0 for count in kept)), inputs["trainer"]
    return {"pairs": pairs, "optimizer_steps": ceil(ceil(pairs / trainer["global_batch"]) * trainer["epochs"])}


def work(inputs: Mapping[str, Any], counts: Counts) -> Work | None:
    """Return the forward passes of the pairs, each followed by a backward pass; exact if the selection is built."""
    if "pairs" not in counts:
        return None
    epochs, parts = inputs["trainer"]["epochs"], inputs["parts"]
    forwards = ceil(counts["pairs"] * epochs)
    built = [{name: read_done(step) for name, step in part.items()} for part in parts]
    if all(all(part.values()) for part in built):
        tokens_P3 = tokens_of(kept_rows(built, TOKENS))  # type: ignore[arg-type]
        total = sum(pc.sum(tokens_P3[name]).as_py() or 0 for name in TOKENS)
        return Work(forwards, ceil(total * epochs), exact=True)
    longest = max(sum(longest_pair(part["logps"].inputs)) for part in parts)
    return Work(forwards, forwards * longest, exact=False)


def flops(inputs: Mapping[str, Any], counts: Counts, load: Load) -> float | None:
    """Return the operations of a forward and a backward of each pair."""
    if "pairs" not in counts:
        return None
    trainer, frozen = inputs["trainer"], inputs.get("adapter") is not None
    each = training_flops(load.shape, load.pair, checkpointing=trainer["gradient_checkpointing"], frozen=frozen)
    return float(counts["pairs"] * trainer["epochs"] * each)


def foresee(inputs: Mapping[str, Any], built: Mapping[str, Artifact]) -> None:
    """Raise ValueError if the loss needs rewards and pairs of a part have none."""
    rewards = [built.get(part["rewards"].key) for part in inputs["parts"]]
    if not any(each and each.counts.get("unrewarded") == each.counts["pairs"] for each in rewards):
        return
    loss = inputs["loss"]
    if reads_rewards(loss):
        problem = "this loss needs rewards, but the pairs have none"
        raise ValueError(f"loss._target_={loss['_target_']}: {problem}; {NO_REWARDS}")
