"""An upper bound on the number of rows in a data set, without parsing them."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core.told import ask


def count_rows(node: Mapping[str, Any]) -> int | None:
    """Return the number of rows of a dataset node, at most `limit`; None if its module does not tell (the Hub's)."""
    rows: int | None = ask("dataset", node, "rows")
    return rows if rows is None or node["limit"] is None else min(rows, node["limit"])
