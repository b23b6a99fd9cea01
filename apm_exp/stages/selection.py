"""Stage: score the training pairs with a metric and mark those that are kept."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp import component
from apm_exp.artifact import Artifact
from apm_exp.files import write_parquet
from apm_exp.margins import explicit_margin, finite, implicit_margin
from apm_exp.types import MissingRewards, PairScores

VERSION = 1
logger = logging.getLogger(__name__)
_TAKEN = {"pair_id", "explicit_margin", "implicit_margin", "kept"}


def selection(
    out: Path,
    *,
    pairs: Artifact,
    logps: Artifact,
    rewards: Artifact | None,
    margin: str,
    metric: dict[str, Any],
    keep: dict[str, Any],
) -> dict[str, int]:
    """Write selection.parquet: margins, the metric's columns and `kept` of every scored training pair.

    Rows are sorted by pair_id. Counts: pairs (ranked), kept, refused (training pairs without log-probs,
    listed by the logps stage). Raises MissingRewards where the metric needs rewards and there are none, and
    ValueError for margins that are not finite or a keep rule that keeps nothing.
    """
    logps_table, refused = _scored(pairs, logps)
    scores = _pair_scores(logps_table, rewards, margin)
    columns = _metric_columns(metric, scores)
    kept_P = component.bind("keep", keep)(columns["value"], scores.pair_id_P)
    _check_shape(f"keep._target_={keep['_target_']}", "the kept pairs", kept_P, scores.pair_id_P.size)
    write_parquet(_table(scores, columns, kept_P), out / "selection.parquet")
    kept, ranked = int(np.count_nonzero(kept_P)), scores.pair_id_P.size
    cut = columns["value"][kept_P].min()
    logger.info("kept %d of %d pairs: those with a value of %.6g or more", kept, ranked, cut)
    return {"pairs": ranked, "kept": kept, "refused": refused}


def _scored(pairs: Artifact, logps: Artifact) -> tuple[pa.Table, int]:
    """The log-probs of the training pairs, sorted by pair_id, and how many training pairs have none."""
    known = _train_rows(pairs.path / "pairs.parquet", ["pair_id"])["pair_id"]
    columns = ["pair_id", "chosen_logp", "rejected_logp", "chosen_len", "rejected_len"]
    scored = _train_rows(logps.path / "logps.parquet", columns).sort_by("pair_id")
    if not len(scored):
        remedy = "give more rows, a smaller dataset.holdout, or a larger tokens.max_length"
        raise ValueError(f"dataset: none of the {len(known)} training pairs has log-probs; {remedy}")
    assert pc.all(pc.is_in(scored["pair_id"], known)).as_py(), "logps has training pairs that pairs has not"
    assert pc.count_distinct(scored["pair_id"]).as_py() == len(scored), "logps has a pair_id twice"
    return scored, len(known) - len(scored)


def _train_rows(path: Path, columns: list[str]) -> pa.Table:
    table = pq.read_table(path, columns=[*columns, "split"])
    return table.filter(pc.equal(table["split"], "train")).drop_columns("split")


def _pair_scores(logps_table: pa.Table, rewards: Artifact | None, margin: str) -> PairScores:
    pair_id_P = logps_table["pair_id"].to_numpy()
    implicit_P = finite(implicit_margin(logps_table), pair_id_P, "implicit")
    if rewards is None:
        return PairScores(pair_id_P, None, implicit_P)
    wanted = ["pair_id", "chosen_reward", "rejected_reward", "all_rewards"]
    table = pq.read_table(rewards.path / "rewards.parquet", columns=wanted)
    row_P = pc.index_in(logps_table["pair_id"], table["pair_id"])
    assert not row_P.null_count, "rewards lacks pairs that logps has"
    component.check("reward", {"margin": margin}, (explicit_margin,))
    margin_P = explicit_margin(table.take(row_P), margin=margin)  # type: ignore[arg-type]
    return PairScores(pair_id_P, finite(margin_P, pair_id_P, "explicit"), implicit_P)


def _metric_columns(metric: Mapping[str, Any], scores: PairScores) -> dict[str, np.ndarray]:
    target = metric["_target_"]
    try:
        columns = component.bind("metric", metric)(scores)
    except MissingRewards as error:
        remedy = "add reward columns to the data or take another reward=, or metric=implicit or uniform"
        raise MissingRewards(f"metric._target_={target}: {error}; {remedy}") from error
    if "value" not in columns or _TAKEN & columns.keys():
        taken = ", ".join(sorted(_TAKEN))
        raise ValueError(f"metric._target_={target}: must return 'value', and no column named {taken}")
    for name, column_P in columns.items():
        _check_shape(f"metric._target_={target}", name, column_P, scores.pair_id_P.size)
    return columns


def _check_shape(setting: str, name: str, column_P: Any, pairs: int) -> None:
    if np.shape(column_P) != (pairs,):
        raise ValueError(f"{setting}: {name} has shape {np.shape(column_P)}; give one entry a pair ({pairs},)")


def _table(scores: PairScores, columns: Mapping[str, np.ndarray], kept_P: np.ndarray) -> pa.Table:
    absent = pa.nulls(kept_P.size, pa.float64())
    explicit = absent if scores.rewards_margin_P is None else scores.rewards_margin_P
    first = {"pair_id": scores.pair_id_P, "explicit_margin": explicit}
    terms = {name: column_P for name, column_P in columns.items() if name != "value"}
    last = {"value": columns["value"], "kept": kept_P}
    return pa.table(first | {"implicit_margin": scores.implicit_margin_P} | terms | last)
