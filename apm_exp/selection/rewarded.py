"""The subset of the training pairs that have rewards; only these can be ranked by a metric that needs rewards."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from apm_exp.core.sorted_parquet import Beside, ordered_tables, write_tables
from apm_exp.core.split import Split

_LOGPS = ["pair_id", "chosen_logp", "rejected_logp", "chosen_len", "rejected_len"]


def write_rewarded(logps: Path, rewards: Path, split: Split, out: Path) -> None:
    """Write the rows of logps.parquet of this side of the split with rewards. Raises ValueError if there are none."""
    tables = _rewarded(logps, rewards, split)
    first = next(tables, None)
    if first is None:
        raise ValueError("reward: none of the training pairs with log-probs has rewards; use more rows")
    write_tables(chain([first], tables), out)


def _rewarded(logps: Path, rewards: Path, split: Split) -> Iterator[pa.Table]:
    beside = Beside(rewards, ["pair_id", "chosen_reward"])
    for table in ordered_tables(logps, _LOGPS, split):
        rows = table.filter(pc.is_valid(beside.rows(table["pair_id"])["chosen_reward"]))
        if len(rows):
            yield rows
