"""The parts of a reward: the margins by each source of a mixture, or by each dimension of follow-ups."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core.artifact import Artifact
from apm_exp.report.run.scored_pairs import ScoredPairs

_COMMON = ("pair_id", "prompt_id", "chosen_reward", "rejected_reward", "all_rewards")
_INDICES = ["pair_id", "chosen_index", "rejected_index", "source"]


@dataclass(frozen=True, eq=False)
class RewardParts:
    """names: of the S parts. margin_SP: chosen minus rejected by each part, of the P ranked pairs; NaN if unknown."""

    names: list[str]
    margin_SP: np.ndarray


def read_reward_parts(shown: Mapping[str, Artifact], scored: ScoredPairs) -> RewardParts | None:
    """Return the parts of the rewards of the ranked pairs; None if their source has fewer than two.

    The rewards of sampled responses are by prompt (`response_rewards`); a pair's source then ends with its row there.
    """
    sampled = shown.get("response_rewards")
    if "rewards" not in shown:
        return None
    rewards = (sampled or shown["rewards"]).path / "rewards.parquet"
    names = [name for name in pq.read_schema(rewards).names if name not in _COMMON]
    if len(names) < 2:
        return None
    pairs = _pairs(shown["pairs"].path / "pairs.parquet", scored)
    if sampled:
        row_P = np.array([int(source.rpartition(":")[2]) - 1 for source in pairs["source"].to_pylist()])
    else:
        known = pq.read_table(rewards, columns=["pair_id"])["pair_id"]
        row_P = pc.index_in(pairs["pair_id"], value_set=known.combine_chunks()).to_numpy()
    margins = [_margins(pq.read_table(rewards, columns=[name])[name], row_P, pairs) for name in names]
    return RewardParts(names, np.stack(margins))


def _pairs(path: Path, scored: ScoredPairs) -> pa.Table:
    table = pq.read_table(path, columns=_INDICES)
    return table.take(pc.index_in(pa.array(scored.pair_id_P), value_set=table["pair_id"].combine_chunks()))


def _margins(lists: pa.ChunkedArray, row_P: np.ndarray, pairs: pa.Table) -> np.ndarray:
    column = lists.combine_chunks()
    values = column.values.to_numpy(zero_copy_only=False)
    start_P = column.offsets.to_numpy()[row_P]
    chosen_P, rejected_P = (values[start_P + pairs[f"{side}_index"].to_numpy()] for side in ("chosen", "rejected"))
    without_P = column.is_null().to_numpy(zero_copy_only=False)[row_P]
    return np.where(without_P, np.nan, chosen_P - rejected_P)
