"""An upper bound on the number of rows in a data set, without parsing them."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core.told import ask


def count_rows(node: Mapping[str, Any]) -> int | None:
    """Return the number of rows of a dataset node after `skip`, at most `limit`; None if its module does not tell."""
    rows: int | None = ask("dataset", node, "rows")
    if rows is None:
        return None
    left = max(0, rows - node.get("skip", 0))
    return left if node["limit"] is None else min(left, node["limit"])
