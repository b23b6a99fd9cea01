"""Checks of a keep rule that run before the metric's values exist."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from apm_exp.core import component
from apm_exp.core.pair_ids import PairIds
from apm_exp.core.told import ask, told


def goes_by_ids(keep: Mapping[str, Any]) -> bool:
    """Return whether a keep rule says nothing without the ids of the pairs: its module has a `check_count` instead."""
    return told("keep", keep, "check_count") is not None


def check_keep(keep: Mapping[str, Any], pairs: int | None, pair_id_P: PairIds | None = None) -> None:
    """Raise ValueError if a keep rule would keep none of so many pairs, whatever their values.

    pair_id_P: None if the ids are not known yet; a rule that selects by id then checks what it can without them.
    """
    rule = component.bind("keep", keep)
    if pair_id_P is None and goes_by_ids(keep):
        ask("keep", keep, "check_count", pairs)
    elif pairs is not None:
        rule(np.full(pairs, np.inf), np.arange(pairs) if pair_id_P is None else pair_id_P)


def most_kept(keep: Mapping[str, Any], pairs: int) -> int:
    """Return how many of so many pairs a keep rule keeps at most: what `most_kept` of its module says, else all."""
    kept: int | None = ask("keep", keep, "most_kept", pairs)
    return pairs if kept is None else kept
