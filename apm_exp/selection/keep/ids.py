"""Keep the pairs that a file names: a published subset again, whatever the metric says of it."""

import logging
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from apm_exp.core.pair_ids import PairIds
from apm_exp.selection.keep.id_files import named_ids, shown

logger = logging.getLogger(__name__)


def ids(
    value_P: np.ndarray,
    pair_id_P: np.ndarray | PairIds,
    *,
    path: Annotated[str, Field(min_length=1)],
    missing: Literal["error", "ignore"],
) -> np.ndarray:
    """True for the pairs whose pair_id the file names, shape P; the values have no say. See `named_ids` for the file.

    missing: what happens where the file names pairs that are not there; "ignore" says how many in a warning. Raises
    ValueError for those otherwise, for a file that cannot be read, and where no pair is left. Memory beside the named
    ids: a part of the pairs.
    """
    named = named_ids(path)
    kept_P, found, start = np.zeros(len(value_P), bool), np.zeros(len(named), bool), 0
    for part in _parts(pair_id_P):
        first, end = _range_of(part, named)
        row = pc.index_in(part, value_set=named[first:end])
        kept_P[start : start + len(part)] = row.is_valid()
        found[first + row.drop_null().to_numpy()] = True
        start += len(part)
    _check_missing(named.filter(pa.array(~found)), len(named), path, missing)
    return kept_P


def check_names(path: str, missing: str, pairs: int | None) -> None:
    """What can be known without the pairs: raises ValueError as `ids` for the file, or where it names too many."""
    count = kept_count(path)
    if pairs is not None and count > pairs and missing == "error":
        remedy = "give the data that they were chosen from, or keep.missing=ignore"
        raise ValueError(f"keep.path={path}: names {count} pairs, and there are only {pairs}; {remedy}")


def kept_count(path: str) -> int:
    """How many pairs the file names."""
    return len(named_ids(path))


def _parts(pair_id_P: np.ndarray | PairIds) -> Iterable[pa.Array]:
    if isinstance(pair_id_P, PairIds):
        return (part.cast(pa.large_string()).combine_chunks() for part in pair_id_P.parts())
    return [pa.array(np.asarray(pair_id_P).tolist(), pa.large_string())]


def _range_of(part: pa.Array, named: pa.Array) -> tuple[int, int]:
    """Where in `named` the ids of a part can be: a part of 100 million is not to be compared with all of them."""
    ends = pc.min_max(part)

    def text(row: int) -> str:
        return named[row].as_py()

    rows = range(len(named))
    return bisect_left(rows, ends["min"].as_py(), key=text), bisect_right(rows, ends["max"].as_py(), key=text)


def _check_missing(absent: pa.Array, named: int, path: str, missing: str) -> None:
    if not len(absent):
        return
    problem = f"keep.path={path}: {len(absent)} of {named} pairs are not among the training pairs ({shown(absent)})"
    if missing == "error" or len(absent) == named:
        remedy = "take the dataset, dataset.holdout, dataset.seed and tokens that they were chosen with"
        raise ValueError(f"{problem}; {remedy}" + ("" if len(absent) == named else ", or keep.missing=ignore"))
    logger.warning("%s; left out (keep.missing=ignore)", problem)
