"""The split of a table of pairs into those to train on and those that are held out.

Pairs have a column `holdout_rank`: the place of their prompt in the random order in which prompts are held out, from 0;
-1 for the rows of a held-out split of the data set. So another hold-out changes neither the pairs nor their log-probs
and rewards.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core.artifact import Artifact

RANK, ALWAYS = "holdout_rank", -1


@dataclass(frozen=True)
class Split:
    """One side of the split. prompts: how many prompts are held out. held_out: whether it is the side of these."""

    prompts: int
    held_out: bool = False

    def of(self, table: pa.Table) -> pa.Table:
        """Return the rows of a table that are on this side."""
        return table.filter(self.mask(table[RANK]))

    def mask(self, rank: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
        """Return which rows are on this side, from their `holdout_rank`."""
        return pc.less(rank, self.prompts) if self.held_out else pc.greater_equal(rank, self.prompts)

    def read(self, path: Path, columns: Sequence[str]) -> pa.Table:
        """Return these columns of the rows of a file that are on this side."""
        return self.of(pq.read_table(path, columns=[*dict.fromkeys([*columns, RANK])])).select(columns)


def train_split(pairs: Artifact, holdout: float) -> Split:
    """Return the pairs to train on. holdout: the share of the prompts that is held out."""
    return Split(number_held_out(int(pairs.counts["prompts"]), holdout))


def held_out_split(pairs: Artifact, holdout: float) -> Split:
    """Return the held-out pairs: those of the held-out prompts, and of the data set's own held-out split."""
    return Split(train_split(pairs, holdout).prompts, held_out=True)


def number_held_out(prompts: int, holdout: float) -> int:
    """Return how many of so many prompts are held out.

    The share is rounded half up in rational arithmetic (0.29 of 100 is 29), but to at least one if it is above 0, and
    never to all.
    """
    wanted = math.floor(Fraction(str(holdout)) * prompts + Fraction(1, 2))
    least = 1 if holdout > 0 else 0
    return max(0, min(max(wanted, least), prompts - 1))
