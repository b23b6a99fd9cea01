"""An evaluation: how often the policy's response is better than the starting policy's, by the rewards of a judge."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from apm_exp.core.artifact import Artifact
from apm_exp.core.files import write_json, write_parquet
from apm_exp.evals.estimate import mean
from apm_exp.evals.judged_responses import POLICIES, judged_responses

logger = logging.getLogger(__name__)
Columns = Mapping[str, Sequence[Any]]


def win_rate(
    out: Path,
    responses: Mapping[str, Artifact],
    judgements: Mapping[str, Artifact],
    *,
    confidence: Annotated[float, Field(gt=0, lt=1)],
    prefix: str,
    reward: Annotated[str, Field(min_length=1)],
) -> None:
    """Write scores.json, and evaluation.parquet with every response and each score's outcome, one row per prompt.

    responses, judgements: of both policies, for the same prompts, several times each and independently, with their
    rewards. win_rate: a prompt's share of wins (see `win_share`), averaged over prompts; standard error and interval
    are over prompts. Also, for both policies: the judge's reward, length (tokens, including the end token), repetition
    (share of repeated runs of four words) and cut_off (share of responses without an end token); and reward_gain
    (paired). prefix: of the names of the scores. reward: the name of the judge's reward. A prompt that a policy did not
    respond to, or whose responses the judge did not reward, is left out of all scores, and counted in a warning. With
    fewer than two prompts there are no scores. Raises ValueError if the judge rewarded no prompt.
    """
    columns = judged_responses(responses, judgements)
    known = _known(columns)
    if not known.any():
        raise ValueError(f"evals: the judge rewarded none of {len(known):,} prompts; use another judge")
    if not known.all():
        left_out = f"{np.sum(~known):,} of {len(known):,} prompts are left out of the scores"
        logger.warning("evals: %s: no response, or no reward (empty in %s)", left_out, out / "evaluation.parquet")
    if known.sum() < 2:
        logger.warning("evals: one prompt is too few for scores; raise dataset.holdout")
    values = outcomes(columns, prefix, reward)
    write_parquet(pa.table({**columns, **values}), out / "evaluation.parquet")
    write_json(scores(values, confidence) if known.sum() > 1 else {}, out / "scores.json")


def win_share(rewards: Sequence[float], starting_rewards: Sequence[float]) -> float:
    """Return the share of comparisons that the policy wins, over all pairs of its responses and the starting policy's.

    A tie is half a win. Rewards that differ only by rounding are tied.
    """
    difference = np.subtract.outer(np.asarray(rewards), np.asarray(starting_rewards))
    return float(np.where(np.abs(difference) < 1e-9, 0.5, difference > 0).mean())


def scores(values: Mapping[str, np.ndarray], confidence: float) -> dict[str, Any]:
    """Return the records of scores.json from the outcomes; every score is a mean over the prompts that are known."""
    units = {"reward": "reward", "gain": "reward", "length": "tokens"}
    known = {name: each[~np.isnan(each)] for name, each in values.items()}
    return {
        name: mean(each, np.arange(len(each)), confidence, units.get(name.split("_")[-1], "share"))
        for name, each in known.items()
    }


def outcomes(columns: Columns, prefix: str, reward: str) -> dict[str, np.ndarray]:
    """Return each score's value for each prompt, by the score's name; NaN for a prompt that is left out."""
    known = _known(columns)
    shares = [win_share(*pair) if known[number] else np.nan for number, pair in enumerate(_both(columns, "rewards"))]
    found = {f"{prefix}win_rate": np.asarray(shares)}
    for start in POLICIES.values():
        found[f"{start}{reward}"] = _means(columns[f"{start}rewards"])
    found[f"{prefix}reward_gain"] = found[reward] - found[f"starting_{reward}"]
    for start in POLICIES.values():
        found[f"{start}{prefix}length"] = _means(columns[f"{start}lengths"])
        found[f"{start}{prefix}repetition"] = _means(columns[f"{start}repetitions"])
        found[f"{start}{prefix}cut_off"] = 1 - _means(columns[f"{start}finished"])
    return {name: np.where(known, values, np.nan) for name, values in found.items()}


def _both(columns: Columns, name: str) -> Iterator[tuple[Any, Any]]:
    """Return both policies' entries of a column, for each prompt."""
    return zip(*(columns[f"{start}{name}"] for start in POLICIES.values()), strict=True)


def _known(columns: Columns) -> np.ndarray:
    """Return for which prompts the responses of both policies have rewards."""
    return np.array([all(rewards is not None for rewards in both) for both in _both(columns, "rewards")])


def _means(lists: Sequence[Sequence[float] | None]) -> np.ndarray:
    """Return the mean of each prompt's list; NaN for a prompt without one."""
    return np.array([np.nan if each is None else np.mean(each) for each in lists])
