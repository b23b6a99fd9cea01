"""What an evaluation found for each of its items: the columns of evaluation.parquet that are named as its scores."""

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
    """One score of one evaluated policy. item_N: strings, none twice. prompt_N: the prompt of each, as strings.

    value_N: its value for each item. items: what they are called in the plural.
    """

    item_N: pa.Array
    prompt_N: pa.Array
    value_N: np.ndarray
    items: str


def compared_scores(folder: Path, scores: Iterable[str]) -> list[str]:
    """Those of an evaluation's scores that have a column of outcomes, in the order given; not the starting policy's."""
    columns = set(pq.read_schema(folder / _FILE).names)
    return [name for name in scores if name in columns and not name.startswith("starting_")]


def read_outcomes(folder: Path, score: str) -> Outcomes:
    """The outcomes of a score, of the items for which it is a finite number.

    folder: an evaluation's. The first column of its evaluation.parquet names the items, the column `prompt` their
    prompts (without one each item is its own), the column `score` has their values. Raises ValueError with what the
    file lacks, FileNotFoundError where it is gone.
    """
    path = folder / _FILE
    names = pq.read_schema(path).names
    if score not in names:
        remedy = f"an evaluation whose arms are to be compared writes one value an item into a column '{score}'"
        raise ValueError(f"{path.parent.name}/{_FILE} has no column '{score}', only {', '.join(names)}; {remedy}")
    table = pq.read_table(path, columns=list(dict.fromkeys([names[0], *({_PROMPT} & set(names)), score])))
    item_N = table[names[0]].combine_chunks().cast(pa.string())
    if pc.count_distinct(item_N).as_py() < len(item_N):
        remedy = "its first column names the items, each once"
        raise ValueError(f"{path.parent.name}/{_FILE}: the column '{names[0]}' has a value twice; {remedy}")
    prompts = table[_PROMPT if _PROMPT in names else names[0]].to_pylist()
    prompt_N = pa.array([canonical(prompt) for prompt in prompts], pa.string())
    value_N = table[score].cast(pa.float64()).to_numpy()
    known_N = np.isfinite(value_N)
    kept = pa.array(known_N)
    return Outcomes(item_N.filter(kept), prompt_N.filter(kept), value_N[known_N], _WORDS.get(names[0], "items"))


def side_by_side(outcomes: list[Outcomes | None]) -> tuple[np.ndarray, np.ndarray]:
    """The values over all items that any of them has, shape (len(outcomes), N), NaN where one has none.

    With them the number of each item's prompt, from 0 in the order of items: that of the first that has the item.
    """
    present = [one for one in outcomes if one is not None]
    item_M, prompt_M = (
        pa.chunked_array([getattr(one, name) for one in present], pa.string()) for name in ("item_N", "prompt_N")
    )
    all_N = pc.unique(item_M)
    values = np.full((len(outcomes), len(all_N)), np.nan)
    for row, one in zip(values, outcomes, strict=True):
        if one is not None:
            row[pc.index_in(one.item_N, value_set=all_N).to_numpy()] = one.value_N
    prompt_N = prompt_M.take(pc.index_in(all_N, value_set=item_M.combine_chunks()))
    return values, pc.index_in(prompt_N, value_set=pc.unique(prompt_N)).to_numpy()
