"""The two signed margins of a pair, computed from the columns of the rewards and logps artifacts."""

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from apm_exp.core.pair_ids import PairIds

COLUMNS = {"chosen_minus_rejected": ["chosen_reward", "rejected_reward"], "max_min": ["all_rewards"]}
_IDS_SHOWN = 5
_REMEDIES = {
    "explicit": "reward: the explicit margin is {problem}; fix or remove these pairs' rewards",
    "implicit": "model: the implicit margin is {problem}; check the weights, or set model.dtype=float32",
}


def explicit_margin(rewards: pa.Table, *, margin: Literal["chosen_minus_rejected", "max_min"]) -> np.ndarray:
    """Return the explicit margin of each pair in reward units, shape P, in the order of the rows.

    chosen_minus_rejected: r(x, y_w) - r(x, y_l), signed (paper Eq. 11). max_min: the largest minus the smallest known
    reward of all responses to the prompt, never negative (the authors' release). Raises ValueError if max_min is used
    and a pair has no list of rewards.
    """
    if margin == "chosen_minus_rejected":
        with np.errstate(invalid="ignore"):
            return _numbers(rewards["chosen_reward"]) - _numbers(rewards["rejected_reward"])
    if margin == "max_min":
        return _max_min(rewards)
    raise ValueError(f"reward.margin={margin}: no such margin; choose from: chosen_minus_rejected, max_min")


def _max_min(rewards: pa.Table) -> np.ndarray:
    lists = rewards["all_rewards"].combine_chunks()
    length_P = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    if not length_P.all():
        without = rewards["pair_id"].filter(pa.array(length_P == 0))
        remedy = "set reward.margin=chosen_minus_rejected"
        raise ValueError(
            f"reward.margin=max_min: {len(without)} pairs have no list of rewards ({_ids(without)}); {remedy}"
        )
    reward = _numbers(lists.flatten())
    start_P = np.cumsum(length_P) - length_P
    with np.errstate(invalid="ignore"):  # fmax and fmin ignore the NaN of a response without a reward
        return np.fmax.reduceat(reward, start_P) - np.fmin.reduceat(reward, start_P)


def implicit_margin(logps: pa.Table) -> np.ndarray:
    """Return log pi(y_w|x)/|y_w| - log pi(y_l|x)/|y_l| of each pair in nats per token, signed, shape P.

    This is the margin of the paper's App. D.1 before the absolute value. Lengths are in tokens, including the end
    token. SimPO's factor beta is omitted: it is 1 here.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        chosen_P = _numbers(logps["chosen_logp"]) / _numbers(logps["chosen_len"])
        rejected_P = _numbers(logps["rejected_logp"]) / _numbers(logps["rejected_len"])
        return chosen_P - rejected_P


def finite(margin_P: np.ndarray, pair_id_P: np.ndarray | PairIds, name: Literal["explicit", "implicit"]) -> np.ndarray:
    """Return the margins as float64; raises ValueError with the ids of the pairs whose margin is NaN or infinite."""
    numbers_P = np.asarray(margin_P, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers_P))
    if bad.size:
        shown = pair_id_P[bad[: _IDS_SHOWN + 1]]
        problem = f"NaN or infinite in {bad.size} of {numbers_P.size} pairs ({_ids(shown)})"
        raise ValueError(_REMEDIES[name].format(problem=problem))
    return numbers_P


def _numbers(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Return a column as float64, with NaN for null."""
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False))


def _ids(pair_ids: pa.ChunkedArray | np.ndarray) -> str:
    """Return the first few ids as text for a message."""
    first = ", ".join(str(pair_id) for pair_id in pair_ids[:_IDS_SHOWN])
    return f"pair_id {first}" + (", ..." if len(pair_ids) > _IDS_SHOWN else "")
