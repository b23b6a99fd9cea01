"""The pairs of a selection as arrays, with their response lengths."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from apm_exp.core.types import PairScores


@dataclass(frozen=True, eq=False)
class ScoredPairs:
    """The training pairs in the order of pair_id, one entry per pair (shape P).

    explicit_P: signed, reward units, None without rewards. implicit_P: signed, nats per token. value_P: the metric,
    higher is better. kept_P: bool. chosen_len_P, rejected_len_P: tokens.
    """

    pair_id_P: np.ndarray
    explicit_P: np.ndarray | None
    implicit_P: np.ndarray
    value_P: np.ndarray
    kept_P: np.ndarray
    chosen_len_P: np.ndarray
    rejected_len_P: np.ndarray

    def as_scores(self) -> PairScores:
        """Return the input of a metric."""
        return PairScores(self.pair_id_P, self.explicit_P, self.implicit_P)

    @property
    def cut(self) -> float:
        """Return the smallest kept value."""
        return float(self.value_P[self.kept_P].min())


def read_scored_pairs(selection: Path, logps: Path) -> ScoredPairs:
    """Read selection.parquet and, for the same pairs, the lengths in logps.parquet.

    Raises KeyError if a selected pair has no log-probs.
    """
    table = pq.read_table(selection / "selection.parquet").sort_by("pair_id")
    lengths = pq.read_table(logps / "logps.parquet", columns=["pair_id", "chosen_len", "rejected_len"])
    row_of = {name: row for row, name in enumerate(lengths["pair_id"].to_pylist())}
    names = table["pair_id"].to_pylist()
    rows_P = np.array([row_of[name] for name in names])
    explicit = table["explicit_margin"]
    return ScoredPairs(
        pair_id_P=np.array(names),
        explicit_P=None if explicit.null_count == len(explicit) else _floats(explicit),
        implicit_P=_floats(table["implicit_margin"]),
        value_P=_floats(table["value"]),
        kept_P=np.array(table["kept"].to_pylist(), dtype=bool),
        chosen_len_P=_floats(lengths["chosen_len"])[rows_P],
        rejected_len_P=_floats(lengths["rejected_len"])[rows_P],
    )


def _floats(column: Any) -> np.ndarray:
    return column.to_numpy().astype(float)
