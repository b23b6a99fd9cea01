"""An evaluation of a reward source: how often it prefers the chosen response of a pair, and by how much."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from apm_exp.core.artifact import Artifact
from apm_exp.core.digest import canonical, text_digest
from apm_exp.core.files import write_json, write_parquet
from apm_exp.core.messages import read_messages
from apm_exp.evals.estimate import mean, share

ACCURACY, MARGIN, TIED = "reward_accuracy", "reward_margin", "reward_tied"
logger = logging.getLogger(__name__)
_IDS = ("pair_id", "chosen_reward", "rejected_reward")
_ALL = "all_rewards"


def reward_accuracy(
    out: Path, pairs: Artifact, rewards: Artifact, *, confidence: Annotated[float, Field(gt=0, lt=1)]
) -> None:
    """Write scores.json, and evaluation.parquet with one row per pair that has rewards, by pair_id.

    Scores: reward_accuracy (share of pairs whose chosen response has the higher reward; equal rewards count 1/2),
    reward_tied (share of pairs with equal rewards), reward_margin (chosen minus rejected, reward units); for each
    further column of the rewards, such as the dimensions of FLR and the sources of a mixture, <column>_accuracy. Means
    are over pairs; standard errors and intervals are over prompts, which may have several pairs. Pairs without rewards
    are left out and counted in a warning. Raises ValueError if pairs of fewer than two prompts have rewards.
    """
    table = pq.read_table(pairs.path / "pairs.parquet", columns=["pair_id", "prompt", "chosen_index", "rejected_index"])
    known = pq.read_table(rewards.path / "rewards.parquet")
    table = table.sort_by("pair_id")
    assert known["pair_id"].equals(table["pair_id"]), f"{rewards.path} has other pairs"
    values = outcomes({name: _margins(known[name], table) for name in known.column_names if name not in _IDS})
    rewarded_P = np.isfinite(values[ACCURACY])
    prompts = [text_digest(canonical(read_messages(prompt)))[:16] for prompt in table["prompt"].to_pylist()]
    rows = pa.table({**{name: known[name] for name in _IDS}, "prompt": prompts, **values})
    rows = rows.filter(pa.array(rewarded_P))
    _check(rows, len(table))
    write_parquet(rows, out / "evaluation.parquet")
    write_json(scores(rows, confidence), out / "scores.json")


def outcomes(margins: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return each score's value for each pair by the score's name, from the margins by column; NaN if unknown."""
    all_P = margins[_ALL]
    known_P = np.isfinite(all_P)
    values = {ACCURACY: _wins(all_P), TIED: np.where(known_P, all_P == 0, np.nan), MARGIN: all_P}
    return values | {f"{name}_accuracy": _wins(each) for name, each in margins.items() if name != _ALL}


def scores(rows: pa.Table, confidence: float) -> dict[str, Any]:
    """Return the records of scores.json from the rows of evaluation.parquet, the accuracy first."""
    prompt_P = np.unique(rows["prompt"].to_numpy(), return_inverse=True)[1]
    records = {}
    for name in [each for each in rows.column_names if each not in (*_IDS, "prompt")]:
        value_P = rows[name].to_numpy()
        known_P = np.isfinite(value_P)
        if len(np.unique(prompt_P[known_P])) < 2:
            logger.warning("%s: too few pairs have a value for a score", name)
        elif name == MARGIN:
            records[name] = mean(value_P[known_P], prompt_P[known_P], confidence, "reward")
        else:
            records[name] = share(value_P[known_P], prompt_P[known_P], confidence)
    return records


def _margins(all_rewards: pa.ChunkedArray, table: pa.Table) -> np.ndarray:
    """Return chosen minus rejected for each pair; NaN if one of them is unknown."""
    rows = zip(all_rewards.to_pylist(), *(table[name].to_pylist() for name in _INDICES), strict=True)
    return np.array([_minus(row, chosen, rejected) for row, chosen, rejected in rows], dtype=np.float64)


_INDICES = ("chosen_index", "rejected_index")


def _minus(row: list[float | None] | None, chosen: int, rejected: int) -> float:
    if row is None or row[chosen] is None or row[rejected] is None:
        return np.nan
    return float(row[chosen]) - float(row[rejected])  # type: ignore[arg-type]


def _wins(margin_P: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(margin_P), np.nan, np.where(margin_P == 0, 0.5, margin_P > 0))


def _check(rows: pa.Table, pairs: int) -> None:
    """Raise ValueError if too few pairs have rewards for a score; warn if some have none."""
    if len(set(rows["prompt"].to_pylist())) < 2:
        problem = f"{len(rows):,} of {pairs:,} pairs have rewards, too few for an interval"
        raise ValueError(f"reward: {problem}; give more pairs, of at least two prompts, or another reward source")
    if len(rows) < pairs:
        logger.warning("%s: %d of %d pairs have no rewards and are left out", ACCURACY, pairs - len(rows), pairs)
