"""Application of a keep rule to scored rows, from Parquet to Parquet; only values and marks are held in memory."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from apm_exp.core import component
from apm_exp.core.pair_ids import PairIds
from apm_exp.core.sorted_parquet import ordered_tables, read_column, write_tables

Rule = Callable[[np.ndarray, np.ndarray | PairIds], np.ndarray]


@dataclass(frozen=True)
class Kept:
    """The result of a keep rule: the numbers of ranked and of kept pairs, and the smallest kept value."""

    pairs: int
    kept: int
    cut: float


def keep_rows(scored: Path, out: Path, keep: Mapping[str, Any]) -> Kept:
    """Write the rows of `scored` to `out`, atomically, with `kept` as an additional last column.

    scored: Parquet in the order of pair_id with a float64 `value`; all columns are copied. keep: the rule's node.
    Memory: 8 bytes per pair for the value, what the rule needs (see `ranking.highest`), and a few row groups. Raises
    what the rule raises, and ValueError if it does not return one boolean per pair or keeps no pair.
    """
    value_P = read_column(scored, "value")
    kept_P = np.asarray(component.bind("keep", keep)(value_P, PairIds(scored, value_P.size)))
    _check(kept_P, value_P.size, f"keep._target_={keep['_target_']}")
    write_tables(_marked(scored, kept_P), out)
    return Kept(value_P.size, int(np.count_nonzero(kept_P)), float(value_P.min(where=kept_P, initial=np.inf)))


def _check(kept_P: np.ndarray, pairs: int, setting: str) -> None:
    if kept_P.shape != (pairs,) or kept_P.dtype != bool:
        returned = f"{kept_P.dtype} of shape {kept_P.shape}"
        raise ValueError(f"{setting}: returned {returned}; return one boolean per pair, shape ({pairs},)")
    if not kept_P.any():
        raise ValueError(f"{setting}: keeps none of the {pairs} pairs; return at least one")


def _marked(scored: Path, kept_P: np.ndarray) -> Iterator[pa.Table]:
    start = 0
    for table in ordered_tables(scored):
        yield table.append_column("kept", pa.array(kept_P[start : start + len(table)]))
        start += len(table)
