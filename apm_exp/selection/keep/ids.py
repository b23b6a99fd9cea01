"""The keep rule `ids`: keep the pairs listed in a file, for example a published subset, regardless of the metric."""

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
    """Return True for the pairs whose pair_id is in the file, shape P; the values are ignored. See `named_ids` for the
    file.

    missing: what to do if the file lists pairs that are not in the data; "ignore" logs a warning with their number,
    "error" raises ValueError. Also raises ValueError if the file cannot be read or if no pair is left. Memory beside
    the ids of the file: one part of the pairs.
    """
    named = named_ids(path)
    kept_P, present, start = np.zeros(len(value_P), bool), np.zeros(len(named), bool), 0
    for part in _parts(pair_id_P):
        first, end = _range_of(part, named)
        row = pc.index_in(part, value_set=named[first:end])
        kept_P[start : start + len(part)] = row.is_valid()
        present[first + row.drop_null().to_numpy()] = True
        start += len(part)
    _check_missing(named.filter(pa.array(~present)), len(named), path, missing)
    return kept_P


def check_count(pairs: int | None, *, path: str, missing: str) -> None:
    """Check what can be known without the pairs: raises ValueError as `ids` for the file, or if it lists too many
    pairs.
    """
    count = kept_count(path)
    if pairs is not None and count > pairs and missing == "error":
        remedy = "use the data that they were selected from, or set keep.missing=ignore"
        raise ValueError(f"keep.path={path}: lists {count} pairs, and there are only {pairs}; {remedy}")


def kept_count(path: str) -> int:
    """Return the number of pairs in the file."""
    return len(named_ids(path))


def most_kept(pairs: int, *, path: str) -> int:
    """Return how many of so many pairs are kept at most."""
    return min(pairs, kept_count(path))


def _parts(pair_id_P: np.ndarray | PairIds) -> Iterable[pa.Array]:
    if isinstance(pair_id_P, PairIds):
        return (part.cast(pa.large_string()).combine_chunks() for part in pair_id_P.parts())
    return [pa.array(np.asarray(pair_id_P).tolist(), pa.large_string())]


def _range_of(part: pa.Array, named: pa.Array) -> tuple[int, int]:
    """Return the range of rows in `named` that can contain the ids of a part.

    This avoids comparing each part of up to 100 million pairs with all ids.
    """
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
        remedy = "use the dataset, dataset.holdout, dataset.seed and tokens with which they were selected"
        raise ValueError(f"{problem}; {remedy}" + ("" if len(absent) == named else ", or keep.missing=ignore"))
    logger.warning("%s; ignored (keep.missing=ignore)", problem)
