"""The outcomes of an evaluation per item: the columns of evaluation.parquet that are named like its scores."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core.digest import canonical

_FILE = "evaluation.parquet"
_PROMPT = "prompt"
_WORDS = {"prompt": "prompts", "pair_id": "pairs"}


@dataclass(frozen=True, eq=False)
class Outcomes:
    """One score of one evaluated policy.

    item_N: unique strings. prompt_N: the prompt of each item, as strings. value_N: its value for each item. items: what
    the items are called in the plural.
    """

    item_N: pa.Array
    prompt_N: pa.Array
    value_N: np.ndarray
    items: str


def compared_scores(folder: Path, scores: Iterable[str]) -> list[str]:
    """Return the scores that have a column of outcomes, in the given order, without those of the starting policy."""
    columns = set(pq.read_schema(folder / _FILE).names)
    return [name for name in scores if name in columns and not name.startswith("starting_")]


def read_outcomes(folder: Path, score: str) -> Outcomes:
    """Return the outcomes of a score, for items with a finite value.

    folder: an evaluation's. The first column of its evaluation.parquet names the items, the column `prompt` their
    prompts (without it each item is its own prompt), the column `score` has the values. Raises ValueError if a column
    is missing, FileNotFoundError if the file is.
    """
    path = folder / _FILE
    names = pq.read_schema(path).names
    if score not in names:
        remedy = f"for a comparison, an evaluation must write one value per item to a column '{score}'"
        raise ValueError(f"{path.parent.name}/{_FILE} has no column '{score}', only {', '.join(names)}; {remedy}")
    table = pq.read_table(path, columns=list(dict.fromkeys([names[0], *({_PROMPT} & set(names)), score])))
    item_N = table[names[0]].combine_chunks().cast(pa.string())
    if pc.count_distinct(item_N).as_py() < len(item_N):
        remedy = "its first column must name each item once"
        raise ValueError(f"{path.parent.name}/{_FILE}: the column '{names[0]}' has a repeated value; {remedy}")
    prompts = table[_PROMPT if _PROMPT in names else names[0]].to_pylist()
    prompt_N = pa.array([canonical(prompt) for prompt in prompts], pa.string())
    value_N = table[score].cast(pa.float64()).to_numpy()
    known_N = np.isfinite(value_N)
    kept = pa.array(known_N)
    return Outcomes(item_N.filter(kept), prompt_N.filter(kept), value_N[known_N], _WORDS.get(names[0], "items"))


def side_by_side(outcomes: list[Outcomes | None]) -> tuple[np.ndarray, np.ndarray]:
    """Return the values over the union of items, shape (len(outcomes), N), with NaN for missing items.

    Also returns the number of each item's prompt, starting at 0 in the order of items; it is taken from the first
    outcomes that have the item.
    """
    present = [each for each in outcomes if each is not None]
    item_M, prompt_M = (
        pa.chunked_array([getattr(each, name) for each in present], pa.string()) for name in ("item_N", "prompt_N")
    )
    all_N = pc.unique(item_M)
    values = np.full((len(outcomes), len(all_N)), np.nan)
    for row, each in zip(values, outcomes, strict=True):
        if each is not None:
            row[pc.index_in(each.item_N, value_set=all_N).to_numpy()] = each.value_N
    prompt_N = prompt_M.take(pc.index_in(all_N, value_set=item_M.combine_chunks()))
    return values, pc.index_in(prompt_N, value_set=pc.unique(prompt_N)).to_numpy()
