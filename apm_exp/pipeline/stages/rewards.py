"""Stage: the rewards of all responses of pairs or of generations."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.core.files import write_parquet
from apm_exp.core.messages import EXTRAS
from apm_exp.core.results_file import count_results
from apm_exp.core.told import ask, told
from apm_exp.data.rewards.check_rewards import check_different, check_finite, check_lengths
from apm_exp.data.rewards.source import ALL, SCORED, columns_of, reward_source
from apm_exp.pipeline.flops import Load, reward_flops, reward_shape
from apm_exp.pipeline.work import Counts
from apm_exp.selection.margins import explicit_margin

VERSION = 3
logger = logging.getLogger(__name__)
_COLUMNS = ["prompt", "tools", "responses", "response_extras", "recorded_rewards"]


def rewards(
    out: Path,
    *,
    responses: Artifact,
    reward: dict[str, Any],
    runtime: dict[str, Any],
    sources: Mapping[str, Artifact] | None = None,
) -> dict[str, int | float]:
    """Write rewards.parquet, in the order of the rows of `responses`, which are pairs or generations.

    all_rewards: the reward of each of a row's responses, in reward units; null if the source gives the row no rewards.
    Further columns of the same form if the source returns them, such as the rewards by dimension; they may be in other
    units. sources: the rewards of the other sources, by name, that this one is made of.
    For pairs, rows are identified by pair_id, with chosen_reward and rejected_reward, which are then null too; for
    generations, by prompt_id. Counts: pairs or prompts; responses whose reward is known; inverted pairs (the rejected
    response has the higher reward) and tied ones; unrewarded rows, if any; what the source's own function `spending`
    adds. A killed attempt resumes from the rewards that its source has saved. Raises ValueError, with the pair_ids, for
    rewards of pairs that are not finite; those of responses that are neither chosen nor rejected may be unknown (NaN).
    Also if all pairs' rewards are equal and are not the data set's own.
    """
    table = _of_pairs(responses) if responses.kind == "pairs" else _of_generations(responses)
    source_rewards = {name: _rewards_of(artifact, table) for name, artifact in (sources or {}).items()}
    row_ids = table[table.column_names[0]].to_pylist()
    rewards_of_rows = reward_source(reward, out, runtime, row_ids, source_rewards)(table.select(_COLUMNS))
    by_name = columns_of(rewards_of_rows, f"reward._target_={reward['_target_']}")
    for lists in by_name.values():
        check_lengths(table, lists, reward)
    all_rewards = by_name[ALL]
    names = table.column_names[0]
    columns = {names: table[names]}
    if responses.kind == "pairs":
        columns |= {f"{side}_reward": _of(all_rewards, table[f"{side}_index"]) for side in ("chosen", "rejected")}
    result = pa.table(columns | by_name)
    counts: dict[str, int | float] = {names.removesuffix("_id") + "s": len(result), "responses": _known(all_rewards)}
    if responses.kind == "pairs":
        check_finite(result, reward)
        check_different(all_rewards, reward)
        counts |= _inverted_and_tied(result)
    write_parquet(result, out / "rewards.parquet")
    spending = ask("reward", reward, "spending", out / SCORED, out) or {}
    shutil.rmtree(out / SCORED, ignore_errors=True)
    return counts | ({"unrewarded": all_rewards.null_count} if all_rewards.null_count else {}) | spending


def _of_pairs(pairs: Artifact) -> pa.Table:
    columns = ["pair_id", "chosen_index", "rejected_index", *_COLUMNS]
    return pq.read_table(pairs.path / "pairs.parquet", columns=columns).sort_by("pair_id").select(columns)


def _of_generations(generations: Artifact) -> pa.Table:
    """Return the columns that a reward source receives; responses that were sampled here have no recorded rewards."""
    table = pq.read_table(
        generations.path / "generations.parquet", columns=["prompt_id", "prompt", "tools", "responses"]
    )
    table = table.append_column("response_extras", pa.nulls(len(table), EXTRAS))
    return table.append_column("recorded_rewards", pa.nulls(len(table), pa.list_(pa.float64())))


def _rewards_of(source: Artifact, table: pa.Table) -> list[list[float] | None]:
    """Return the rewards that another source has given to the rows of a table, whose first column has their ids."""
    names = table.column_names[0]
    known = pq.read_table(source.path / "rewards.parquet", columns=[names, ALL])
    assert known[names].equals(table[names]), f"{source.path} has other rows"
    rewards: list[list[float] | None] = known[ALL].to_pylist()
    return rewards


def _known(all_rewards: pa.ListArray) -> int:
    return int(np.isfinite(all_rewards.flatten().to_numpy(zero_copy_only=False)).sum())


def _inverted_and_tied(result: pa.Table) -> dict[str, int]:
    """Count, and log, the pairs whose rewards contradict their labels or are equal."""
    rewarded = result.filter(pc.is_valid(result["chosen_reward"]))
    margin_P = explicit_margin(rewarded, margin="chosen_minus_rejected")
    inverted, tied = int((margin_P < 0).sum()), int((margin_P == 0).sum())
    if inverted or tied:
        logger.info(
            "in %d of %d pairs the rejected response has the higher reward, in %d both have the same",
            *(inverted, len(result), tied),
        )
    return {"inverted": inverted, "tied": tied}


def progress(folder: Path) -> int:
    """Return the number of responses that an unfinished attempt has rewarded, if its source saves them."""
    return count_results(folder / SCORED)


def bounds(inputs: Mapping[str, Any], known: Mapping[str, Counts]) -> Counts:
    """Return the maximum number of rows and responses."""
    counts = known[inputs["responses"].key]
    names = ("pairs",) if inputs["responses"].kind == "pairs" else ("prompts", "responses")
    return {name: counts[name] for name in names if name in counts}


def flops(inputs: Mapping[str, Any], counts: Counts, load: Load) -> float | None:
    """Return the operations of a reward model over the responses of each row; None for a source without a model."""
    shape, rows = reward_shape(inputs["reward"]), counts.get("pairs", counts.get("prompts"))
    responses = counts.get("responses", 2 * counts["pairs"] if "pairs" in counts else None)
    if shape is None or not rows or responses is None:
        return None
    mean = sum(load.pair[1:]) / 2
    return rows * reward_flops(inputs["reward"], shape, load.pair[0], mean, responses / rows)


def foresee(inputs: Mapping[str, Any], _built: Mapping[str, Artifact]) -> None:
    """Raise ValueError if the responses are sampled here, or rated, but the source reads rewards from the data set."""
    source = component.locate("reward", inputs["reward"])
    if inputs["responses"].kind != "pairs" and told("reward", inputs["reward"], "OF_THE_DATA"):
        name = source.__name__
        remedy = "use another reward source, such as reward=classifier reward.path=FOLDER"
        which = "the responses are sampled here and" if inputs["responses"].kind == "generations" else "rated responses"
        raise ValueError(f"reward={name}: {which} have no recorded rewards; {remedy}")


def _of(all_rewards: pa.ListArray, index_P: pa.ChunkedArray) -> pa.Array:
    """Return the entry at index_P of each pair's list; null if the pair has no rewards."""
    start_P, without_P = all_rewards.offsets.to_numpy()[:-1], all_rewards.is_null().to_numpy(zero_copy_only=False)
    return all_rewards.values.take(pa.array(start_P + index_P.to_numpy(), mask=without_P))
