"""What can be known of a keep rule before there are values."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from apm_exp.core import component
from apm_exp.core.pair_ids import PairIds


def check_keep(keep: Mapping[str, Any], pairs: int | None, pair_id_P: PairIds | None = None) -> None:
    """Raise ValueError where a keep rule would keep nothing of so many pairs, whatever their values.

    pair_id_P: None where they are not known yet; a rule that goes by them is then asked what it can say without.
    """
    from apm_exp.selection.keep.ids import check_names, ids

    rule = component.bind("keep", keep)
    if pair_id_P is None and rule.func is ids:
        check_names(keep["path"], keep["missing"], pairs)
    elif pairs is not None:
        rule(np.full(pairs, np.inf), np.arange(pairs) if pair_id_P is None else pair_id_P)
