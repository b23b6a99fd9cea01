"""Reading of the training pairs' margins from the artifacts pairs, logps and rewards."""

from pathlib import Path
from typing import Any

import numpy as np

from apm_exp.core.pair_ids import PairIds
from apm_exp.core.sorted_parquet import Beside, ordered_tables, rows_of_split
from apm_exp.core.split import Split
from apm_exp.core.types import PairScores
from apm_exp.selection.margins import COLUMNS, explicit_margin, finite, implicit_margin

_LOGPS = ["pair_id", "chosen_logp", "rejected_logp", "chosen_len", "rejected_len"]


def read_pair_scores(pairs: Path, logps: Path, rewards: Path | None, split: Split, margin: Any) -> PairScores:
    """Return the margins of every pair of logps.parquet on this side of the split, in the order of pair_id.

    Memory: 8 bytes per pair for each margin, and a part of each file; the pair_ids are not loaded. Raises ValueError
    for margins that are not finite; asserts that pairs.parquet, and rewards.parquet if given, contain every pair, in
    the same order.
    """
    names = PairIds(logps, rows_of_split(logps, split), split)
    known = Beside(pairs, ["pair_id"], split)
    rewarded = Beside(rewards, ["pair_id", *COLUMNS[margin]]) if rewards else None
    implicit_P, explicit_P = np.empty(len(names)), np.empty(len(names) if rewards else 0)
    start = 0
    for table in ordered_tables(logps, _LOGPS, split):
        here = slice(start, start + len(table))
        known.rows(table["pair_id"])
        implicit_P[here] = implicit_margin(table)
        if rewarded:
            explicit_P[here] = explicit_margin(rewarded.rows(table["pair_id"]), margin=margin)
        start += len(table)
    finite(implicit_P, names, "implicit")
    return PairScores(names, finite(explicit_P, names, "explicit") if rewards else None, implicit_P)
