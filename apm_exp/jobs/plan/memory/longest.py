"""The longest pairs that a training can meet: exact if they are tokenized, else the most that tokens allows."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from apm_exp.core.split import Split, train_split
from apm_exp.pipeline.stages.logps import longest_pair
from apm_exp.pipeline.step import Step, read_done
from apm_exp.pipeline.work import Lengths
from apm_exp.selection.kept_rows import TOKENS, kept_rows, tokens_of


def longest_pairs(parts: Sequence[Mapping[str, Step]], count: int) -> tuple[tuple[Lengths, ...], bool]:
    """Return the `count` longest pairs of a training's parts, longest first, and whether they are only a bound.

    They are taken from the kept pairs if the selections are built; else from all training pairs if those are scored;
    else it is one pair with the maximum number of tokens.
    """
    built = [{name: read_done(step) for name, step in part.items()} for part in parts]
    if any(part["logps"] is None for part in built):
        return (max((longest_pair(part["logps"].inputs) for part in parts), key=sum),), True
    if all(all(part.values()) for part in built):
        return _longest(kept_rows(built, TOKENS), count), False  # type: ignore[arg-type]
    tables = [_of_training(part) for part in parts]
    return _longest(pa.concat_tables(tables), count), False


def _of_training(part: Mapping[str, Step]) -> pa.Table:
    """Return the tokens of the pairs that a part's selection ranks; of all pairs if their file is missing."""
    logps, selection = part["logps"].folder / "logps.parquet", part["selection"].inputs
    pairs = read_done(selection["pairs"])
    split = Split(0) if pairs is None else train_split(pairs, selection["holdout"])
    return split.read(logps, TOKENS)


def shortest_possible() -> tuple[Lengths, ...]:
    """Return a pair of as few tokens as can be."""
    return ((1, 1, 1),)


def _longest(rows: pa.Table, count: int) -> tuple[Lengths, ...]:
    tokens_P3 = np.stack([column.to_numpy() for column in tokens_of(rows).columns], 1)
    longest_K3 = tokens_P3[np.argsort(-tokens_P3.sum(1), kind="stable")[:count]]
    return tuple((int(prompt), int(chosen), int(rejected)) for prompt, chosen, rejected in longest_K3)
