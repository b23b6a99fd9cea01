"""A quick check of the dataset before any work."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from apm_exp.core.told import ask
from apm_exp.data.sources.pairs import pair_of
from apm_exp.data.sources.reader import reader
from apm_exp.data.sources.recognition import ROWS_LOOKED_AT, with_columns
from apm_exp.data.sources.rows import BadRow, SourceRow
from apm_exp.data.sources.schemas import Columns, Recognizer


def preflight(node: Mapping[str, Any]) -> bool | None:
    """Return whether the rows of a dataset node have rewards; None if its module does not provide `first_rows`.

    Raises ValueError with one line: an invalid setting, a missing or unreadable file, columns that match no schema or
    differ between files, a missing reward column, or only a few rows of which none is a pair.
    """
    reader(node)
    rows = first_rows(node)
    if rows is None:
        return None
    recognizer = Recognizer(where_of(node), node["chosen_reward"], node["rejected_reward"])
    first = list(with_columns(rows, recognizer))
    if not first:
        raise ValueError(f"{recognizer.where}: has no row that is a JSON object; give one JSON object a line")
    _refuse_if_none_is_usable(first, recognizer.where)
    return next((columns.has_rewards for _, columns in first if columns), None)


def first_rows(node: Mapping[str, Any]) -> Iterator[SourceRow] | None:
    """Return the first rows of each file of a dataset node; None if its module does not provide them."""
    rows: Iterator[SourceRow] | None = ask("dataset", node, "first_rows", ROWS_LOOKED_AT)
    return rows


def _refuse_if_none_is_usable(first: list[tuple[SourceRow, Columns | None]], where: str) -> None:
    """Raise ValueError if no row is a pair and there are no further rows."""
    rows_of_file = Counter(row.file for row, _ in first)
    if max(rows_of_file.values()) >= ROWS_LOOKED_AT:
        return
    problems = []
    for row, columns in first:
        if not (problem := _problem(row, columns)):
            return
        problems.append(f"{row.source}: {problem}")
    raise ValueError(f"{where}: none of its {len(problems)} rows is usable: {problems[0]}")


def _problem(row: SourceRow, columns: Columns | None) -> str | None:
    if row.row is None or columns is None:
        return row.problem
    try:
        pair_of(row.row, columns)
    except BadRow as bad:
        return str(bad)
    return None


def where_of(node: Mapping[str, Any]) -> str:
    """Return how errors name the source of a dataset node, in the form that the user would type."""
    path = node.get("path")
    if path is None:
        return "dataset"
    return f"dataset.path={path if isinstance(path, str) else '[' + ','.join(path) + ']'}"
