"""Stage: the reward of every response of every pair."""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core.artifact import Artifact
from apm_exp.core.files import write_parquet
from apm_exp.data.rewards.source import SCORED, reward_source
from apm_exp.selection.margins import explicit_margin

VERSION = 2  # 2: a row beyond the positions of its reward model has no reward
logger = logging.getLogger(__name__)
_ASKED = ["prompt", "tools", "responses", "response_extras", "recorded_rewards"]
_IDS_SHOWN = 5


def rewards(out: Path, *, pairs: Artifact, reward: dict[str, Any], runtime: dict[str, Any]) -> dict[str, int]:
    """Write rewards.parquet: chosen_reward, rejected_reward and all_rewards (of `responses`), sorted by pair_id.

    All three are null for pairs to which the source gives none. Counts: pairs; responses whose reward is known; pairs
    that are inverted (the rejected response has the higher reward) or tied; pairs without rewards, if any. Reward
    units. A killed attempt goes on from what its source has kept. Raises ValueError for a reward that is not finite,
    with the pair_ids; only responses that are neither chosen nor rejected may be unknown (NaN).
    """
    columns = ["pair_id", "chosen_index", "rejected_index", *_ASKED]
    table = pq.read_table(pairs.path / "pairs.parquet", columns=columns).sort_by("pair_id")
    found = reward_source(reward, out, runtime)(table.select(_ASKED))
    all_rewards = pa.array(found, pa.list_(pa.float64()))
    _check_lengths(table, all_rewards, reward)
    result = pa.table(
        {
            "pair_id": table["pair_id"],
            "chosen_reward": _of(all_rewards, table["chosen_index"]),
            "rejected_reward": _of(all_rewards, table["rejected_index"]),
            "all_rewards": all_rewards,
        }
    )
    _check_finite(result, reward)
    write_parquet(result, out / "rewards.parquet")
    shutil.rmtree(out / SCORED, ignore_errors=True)
    known = int(np.isfinite(all_rewards.flatten().to_numpy(zero_copy_only=False)).sum())
    margin_P = explicit_margin(result, margin="chosen_minus_rejected")
    inverted, tied = int((margin_P < 0).sum()), int((margin_P == 0).sum())
    if inverted or tied:
        logger.info(
            "in %d of %d pairs the rejected response has the higher reward, in %d both have the same",
            *(inverted, len(result), tied),
        )
    counts = {"pairs": len(result), "responses": known, "inverted": inverted, "tied": tied}
    return counts | ({"unrewarded": all_rewards.null_count} if all_rewards.null_count else {})


def _of(all_rewards: pa.ListArray, index_P: pa.ChunkedArray) -> pa.Array:
    """Entry index_P of each pair's list; null if it has none."""
    start_P, without_P = all_rewards.offsets.to_numpy()[:-1], all_rewards.is_null().to_numpy(zero_copy_only=False)
    return all_rewards.values.take(pa.array(start_P + index_P.to_numpy(), mask=without_P))


def _check_lengths(table: pa.Table, all_rewards: pa.ListArray, reward: dict[str, Any]) -> None:
    problem = f"reward._target_={reward['_target_']}: not one reward for each response of each pair"
    if len(all_rewards) != len(table):
        raise ValueError(f"{problem} ({len(all_rewards)} lists)")
    responses = pc.list_value_length(table["responses"].combine_chunks())
    counted = pc.coalesce(pc.list_value_length(all_rewards), responses)  # of a pair without rewards there is no list
    if (wrong_P := counted.to_numpy() != responses.to_numpy()).any():
        raise ValueError(f"{problem} ({_ids(table['pair_id'], wrong_P)})")


def _check_finite(result: pa.Table, reward: dict[str, Any]) -> None:
    """Chosen and rejected rewards are numbers; of the others some may be unknown, none infinite."""
    pair_P = [np.isfinite(result[name].to_numpy()) for name in ("chosen_reward", "rejected_reward")]
    without_P = result["all_rewards"].is_null().to_numpy()
    lists = result["all_rewards"].combine_chunks()
    infinite = np.isinf(lists.flatten().to_numpy(zero_copy_only=False))
    row = lists.value_parent_indices().to_numpy()[infinite]
    wrong_P = ~(pair_P[0] & pair_P[1] | without_P)
    wrong_P[row] = True
    if wrong_P.any():
        remedy = "correct or remove these pairs, or take another reward source"
        target = reward["_target_"]
        raise ValueError(
            f"reward._target_={target}: {int(wrong_P.sum())} of {len(result)} pairs have a reward that is not finite "
            f"({_ids(result['pair_id'], wrong_P)}); {remedy}"
        )


def _ids(pair_id_P: pa.ChunkedArray, wrong_P: np.ndarray) -> str:
    wrong = pair_id_P.filter(pa.array(wrong_P))
    shown = ", ".join(wrong.slice(0, _IDS_SHOWN).to_pylist())
    return f"pair_id {shown}" + (f" and {len(wrong) - _IDS_SHOWN} more" if len(wrong) > _IDS_SHOWN else "")
