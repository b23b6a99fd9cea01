"""Checks of the rewards that a source has returned."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from apm_exp.core.told import told

_IDS_SHOWN = 5


def check_lengths(table: pa.Table, all_rewards: pa.ListArray, reward: dict[str, Any]) -> None:
    problem = f"reward._target_={reward['_target_']}: not one reward for each response"
    if len(all_rewards) != len(table):
        raise ValueError(f"{problem} ({len(all_rewards)} lists)")
    responses = pc.list_value_length(table["responses"].combine_chunks())
    counted = pc.coalesce(pc.list_value_length(all_rewards), responses)  # the list of a row without rewards is null
    if (wrong_P := counted.to_numpy() != responses.to_numpy()).any():
        raise ValueError(f"{problem} ({_ids(table, wrong_P)})")


def check_different(all_rewards: pa.ListArray, reward: dict[str, Any]) -> None:
    """Raise ValueError if a source gives all responses of several pairs the same reward, which ranks nothing.

    Responses of a policy alone may all be equally good or bad.
    """
    known = all_rewards.flatten().to_numpy(zero_copy_only=False)
    rows = len(all_rewards) - all_rewards.null_count
    if rows > 1 and known.size > rows and (known == known[0]).all() and not told("reward", reward, "OF_THE_DATA"):
        problem = f"gives all {known.size} responses the same reward, {known[0]:g}"
        remedy = "check its settings, use another reward source, or metric=implicit with reward=recorded"
        raise ValueError(f"reward._target_={reward['_target_']}: {problem}; {remedy}")


def check_finite(result: pa.Table, reward: dict[str, Any]) -> None:
    """Raise ValueError if a chosen or rejected reward is not finite, or another one is infinite; NaN means unknown."""
    pair_P = [np.isfinite(result[name].to_numpy()) for name in ("chosen_reward", "rejected_reward")]
    without_P = result["all_rewards"].is_null().to_numpy()
    lists = result["all_rewards"].combine_chunks()
    infinite = np.isinf(lists.flatten().to_numpy(zero_copy_only=False))
    row = lists.value_parent_indices().to_numpy()[infinite]
    wrong_P = ~(pair_P[0] & pair_P[1] | without_P)
    wrong_P[row] = True
    if wrong_P.any():
        remedy = "correct or remove these pairs, or use another reward source"
        target = reward["_target_"]
        raise ValueError(
            f"reward._target_={target}: {int(wrong_P.sum())} of {len(result)} pairs have a reward that is not finite "
            f"({_ids(result, wrong_P)}); {remedy}"
        )


def _ids(rows: pa.Table, wrong_P: np.ndarray) -> str:
    name = rows.column_names[0]
    wrong = rows[name].filter(pa.array(wrong_P))
    shown = ", ".join(wrong.slice(0, _IDS_SHOWN).to_pylist())
    return f"{name} {shown}" + (f" and {len(wrong) - _IDS_SHOWN} more" if len(wrong) > _IDS_SHOWN else "")
