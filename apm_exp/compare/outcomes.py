"""What an evaluation found for each of its items: the columns of evaluation.parquet that are named as its scores."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_FILE = "evaluation.parquet"
_WORDS = {"prompt": "prompts", "pair_id": "pairs"}


@dataclass(frozen=True, eq=False)
class Outcomes:
    """One score of one evaluated policy. item_N: strings, none twice. value_N: its value for each item.

    items: what they are called in the plural.
    """

    item_N: pa.Array
    value_N: np.ndarray
    items: str


def compared_scores(folder: Path, scores: Iterable[str]) -> list[str]:
    """Those of an evaluation's scores that have a column of outcomes, in the order given; not the starting policy's."""
    columns = set(pq.read_schema(folder / _FILE).names)
    return [name for name in scores if name in columns and not name.startswith("starting_")]


def read_outcomes(folder: Path, score: str) -> Outcomes:
    """The outcomes of a score, of the items for which it is a finite number.

    folder: an evaluation's. The first column of its evaluation.parquet names the items, the column `score` has their
    values. Raises ValueError with what the file lacks, FileNotFoundError where it is gone.
    """
    path = folder / _FILE
    names = pq.read_schema(path).names
    if score not in names:
        remedy = f"an evaluation whose arms are to be compared writes one value an item into a column '{score}'"
        raise ValueError(f"{path.parent.name}/{_FILE} has no column '{score}', only {', '.join(names)}; {remedy}")
    table = pq.read_table(path, columns=[names[0], score])
    item_N = table[names[0]].combine_chunks().cast(pa.string())
    if pc.count_distinct(item_N).as_py() < len(item_N):
        remedy = "its first column names the items, each once"
        raise ValueError(f"{path.parent.name}/{_FILE}: the column '{names[0]}' has a value twice; {remedy}")
    value_N = table[score].cast(pa.float64()).to_numpy()
    known_N = np.isfinite(value_N)
    return Outcomes(item_N.filter(pa.array(known_N)), value_N[known_N], _WORDS.get(names[0], "items"))


def side_by_side(outcomes: list[Outcomes | None]) -> np.ndarray:
    """The values over all items that any of them has, shape (len(outcomes), N); NaN where one has none."""
    present = [one.item_N for one in outcomes if one is not None]
    all_N = pc.unique(pa.chunked_array(present, pa.string()))
    values = np.full((len(outcomes), len(all_N)), np.nan)
    for row, one in zip(values, outcomes, strict=True):
        if one is not None:
            row[pc.index_in(one.item_N, value_set=all_N).to_numpy()] = one.value_N
    return values
