"""A cheap look at the dataset before any work starts."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from apm_exp.core.told import ask
from apm_exp.data.sources.pairs import pair_of
from apm_exp.data.sources.reader import reader
from apm_exp.data.sources.recognition import ROWS_LOOKED_AT, with_columns
from apm_exp.data.sources.rows import BadRow, SourceRow
from apm_exp.data.sources.schemas import Columns, Recogniser


def preflight(node: Mapping[str, Any]) -> bool | None:
    """Whether the rows of a dataset node carry rewards; None if its module has no `first_rows`, which are looked at.

    Raises ValueError with one line: a wrong setting, a missing or unreadable file, columns that fit no schema or
    differ between files, a named reward column that is not there, few rows of which none is a pair.
    """
    reader(node)
    found = first_rows(node)
    if found is None:
        return None
    recogniser = Recogniser(where_of(node), node["chosen_reward"], node["rejected_reward"])
    first = list(with_columns(found, recogniser))
    if not first:
        raise ValueError(f"{recogniser.where}: has no row that is a JSON object; give one JSON object a line")
    _refuse_if_none_is_usable(first, recogniser.where)
    return next((columns.has_rewards for _, columns in first if columns), None)


def first_rows(node: Mapping[str, Any]) -> Iterator[SourceRow] | None:
    """Return the first rows of a dataset node, of each file; None if its module does not give them."""
    rows: Iterator[SourceRow] | None = ask("dataset", node, "first_rows", ROWS_LOOKED_AT)
    return rows


def _refuse_if_none_is_usable(first: list[tuple[SourceRow, Columns | None]], where: str) -> None:
    """Raise ValueError if no row is a pair and these are all rows that there are."""
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
    """How errors name the source of a dataset node, as the user would type it."""
    path = node.get("path")
    if path is None:
        return "dataset"
    return f"dataset.path={path if isinstance(path, str) else '[' + ','.join(path) + ']'}"
