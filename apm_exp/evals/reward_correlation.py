"""An evaluation of a reward source on rated responses: how its rewards correlate with the ratings."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from apm_exp.core.artifact import Artifact
from apm_exp.core.files import write_json, write_parquet
from apm_exp.selection.rank_agreement import kendall, spearman

logger = logging.getLogger(__name__)
_NOT_SOURCES = ("prompt_id",)
_ALL = "all_rewards"


def reward_correlation(
    out: Path,
    rated: Artifact,
    rewards: Artifact,
    *,
    confidence: Annotated[float, Field(gt=0, lt=1)],
    resamples: Annotated[int, Field(ge=100)],
    seed: Annotated[int, Field(ge=0)],
) -> None:
    """Write scores.json, and evaluation.parquet with the reward and the rating of each response.

    Scores: reward_spearman, reward_pearson and reward_kendall (tau-b) of rewards and ratings over all responses, and
    <column>_spearman for each further column of the rewards. Standard errors and intervals (percentiles) are of a
    bootstrap over prompts, with all their responses. Responses without a reward are left out and counted in a warning.
    Raises ValueError if all ratings or all rewards are equal.
    """
    table, known = pq.read_table(rated.path / "generations.parquet"), pq.read_table(rewards.path / "rewards.parquet")
    assert known["prompt_id"].equals(table["prompt_id"]), f"{rewards.path} has other prompts"
    ratings = table["ratings"].to_pylist()
    prompt_N = np.repeat(np.arange(len(ratings)), [len(each) for each in ratings])
    rating_N = np.concatenate([np.asarray(each, np.float64) for each in ratings])
    names = [name for name in known.column_names if name not in _NOT_SOURCES]
    columns = {name: _flat(known[name].to_pylist(), ratings) for name in names}
    reward_N = columns.pop(_ALL)
    known_N = np.isfinite(reward_N)
    if not known_N.all():
        logger.warning("%d of %d responses have no reward and are left out", int((~known_N).sum()), len(known_N))
    _refuse_equal("the ratings", rating_N[known_N])
    _refuse_equal("the rewards", reward_N[known_N])
    measures = {"reward_spearman": spearman, "reward_pearson": pearson, "reward_kendall": kendall}
    values = {name: (reward_N, measure) for name, measure in measures.items()}
    values |= {f"{name}_spearman": (each, spearman) for name, each in columns.items()}
    records = {
        name: _record(each, rating_N, prompt_N, measure, confidence, resamples, seed)
        for name, (each, measure) in values.items()
    }
    identity = {"prompt_id": table["prompt_id"].to_numpy()[prompt_N], "rating": rating_N, "reward": reward_N}
    write_parquet(pa.table(identity | columns).filter(pa.array(known_N)), out / "evaluation.parquet")
    write_json(records, out / "scores.json")


def pearson(first_N: np.ndarray, second_N: np.ndarray) -> float:
    """Return the linear correlation; NaN if one list has equal values only."""
    first_N, second_N = first_N - first_N.mean(), second_N - second_N.mean()
    norm = float(np.linalg.norm(first_N) * np.linalg.norm(second_N))
    return float(first_N @ second_N) / norm if norm else float("nan")


def _record(
    value_N: np.ndarray,
    rating_N: np.ndarray,
    prompt_N: np.ndarray,
    measure: Callable[[np.ndarray, np.ndarray], float],
    confidence: float,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Return the record of a correlation, with the bootstrap over prompts; the same prompts are drawn for each one."""
    rows = np.flatnonzero(np.isfinite(value_N))
    of_prompt = np.split(rows, np.flatnonzero(np.diff(prompt_N[rows])) + 1)
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        chosen = np.concatenate([of_prompt[each] for each in random.integers(len(of_prompt), size=len(of_prompt))])
        drawn.append(measure(value_N[chosen], rating_N[chosen]))
    known = np.array(drawn)[np.isfinite(drawn)]  # a resample of equal values has no correlation
    tail = (1 - confidence) / 2
    record = {
        "value": measure(value_N[rows], rating_N[rows]),
        "standard_error": float(np.std(known, ddof=1)),
        "n": len(rows),
        "interval": [float(each) for each in np.quantile(known, [tail, 1 - tail])],
        "unit": "correlation",
    }
    return record | ({"prompts": len(of_prompt)} if len(of_prompt) < len(rows) else {})


def _flat(rows: list[list[float] | None], ratings: list[list[float]]) -> np.ndarray:
    """Return the rewards of all responses; NaN for those that have none."""
    each = (row or [np.nan] * len(of) for row, of in zip(rows, ratings, strict=True))
    return np.array([np.nan if value is None else value for row in each for value in row], np.float64)


def _refuse_equal(what: str, values: np.ndarray) -> None:
    if len(np.unique(values)) < 2:
        problem = f"{what} of all {len(values):,} responses are equal, so nothing correlates with them"
        raise ValueError(f"reward: {problem}; give other data or another source")
