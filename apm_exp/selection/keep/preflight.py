"""Checks of a keep rule that run before the metric's values exist."""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from apm_exp.core import component
from apm_exp.core.pair_ids import PairIds


def check_keep(keep: Mapping[str, Any], pairs: int | None, pair_id_P: PairIds | None = None) -> None:
    """Raise ValueError if a keep rule would keep none of so many pairs, whatever their values.

    pair_id_P: None if the ids are not known yet; a rule that selects by id then checks what it can without them.
    """
    from apm_exp.selection.keep.ids import check_names, ids

    rule = component.bind("keep", keep)
    if pair_id_P is None and rule.func is ids:
        check_names(keep["path"], keep["missing"], pairs)
    elif pairs is not None:
        rule(np.full(pairs, np.inf), np.arange(pairs) if pair_id_P is None else pair_id_P)


def most_kept(keep: Mapping[str, Any], pairs: int) -> int:
    """Return how many of so many pairs a keep rule keeps at most: what `most_kept` of its module says, else all."""
    own = getattr(inspect.getmodule(component.locate("keep", keep)), "most_kept", None)
    return pairs if own is None else int(own(pairs, **component.settings_of(own, keep)))
