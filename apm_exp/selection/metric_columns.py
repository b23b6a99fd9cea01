"""The columns that a metric computes, checked."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from apm_exp.core import component
from apm_exp.core.types import MissingRewards, PairScores

REWARDS = (
    "name their columns (dataset.chosen_reward=, dataset.rejected_reward=), score them with a reward model "
    "(reward=classifier reward.path=FOLDER), or use metric=implicit or metric=uniform"
)
_TAKEN = {"pair_id", "explicit_margin", "implicit_margin", "kept"}


def metric_columns(metric: Mapping[str, Any], scores: PairScores) -> dict[str, np.ndarray]:
    """Return the metric's columns after checking them; `value`, as float64, is the last."""
    target = metric["_target_"]
    with rewards_asked_for(metric):
        columns = component.bind("metric", metric)(scores)
    if "value" not in columns or _TAKEN & columns.keys():
        taken = ", ".join(sorted(_TAKEN))
        raise ValueError(f"metric._target_={target}: must return 'value', and no column named {taken}")
    pairs = len(scores.pair_id_P)
    for name, column_P in columns.items():
        if np.shape(column_P) != (pairs,):
            problem = f"{name} has shape {np.shape(column_P)}"
            raise ValueError(f"metric._target_={target}: {problem}; return one entry per pair, ({pairs},)")
    value_P = np.asarray(columns["value"], np.float64)
    return {name: column_P for name, column_P in columns.items() if name != "value"} | {"value": value_P}


@contextmanager
def rewards_asked_for(metric: Mapping[str, Any]) -> Iterator[None]:
    """Add the metric and the remedies to the message of MissingRewards."""
    try:
        yield
    except MissingRewards as error:
        raise MissingRewards(f"metric._target_={metric['_target_']}: {error}; {REWARDS}") from error
