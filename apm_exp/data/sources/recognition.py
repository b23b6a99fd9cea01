"""Which schema the rows of a source have, decided for each of its files by the first hundred rows."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, groupby

from apm_exp.data.sources.known_columns import with_known_columns
from apm_exp.data.sources.rows import BadRow, SourceRow
from apm_exp.data.sources.schemas import Columns, Recogniser, listed

ROWS_LOOKED_AT = 100


def with_columns(rows: Iterable[SourceRow], recogniser: Recogniser) -> Iterator[tuple[SourceRow, Columns | None]]:
    """Yield each row with what the columns of its file mean; None for a row that is bad.

    The most frequent columns among the first readable rows of a file decide (the first of equals), with rewards if
    any of these rows has them; a row with others becomes a bad one. Raises ValueError where none of those rows fits a
    schema, or the files differ.
    """
    first: tuple[str, Columns] | None = None
    for file, of_file in groupby(map(_known, rows), key=lambda row: row.file):
        head = _head(of_file)
        columns = _decided(head, recogniser)
        if columns is not None:
            first = first or (file, columns)
            _refuse_mixture(*first, file, columns, recogniser.where)
        for row in chain(head, of_file):
            yield _matched(row, columns, recogniser)


def _known(row: SourceRow) -> SourceRow:
    """The row with its columns under the names that are read here."""
    try:
        return row if row.row is None else replace(row, row=with_known_columns(row.row))
    except BadRow as bad:
        return replace(row, row=None, problem=str(bad))


def _head(rows: Iterator[SourceRow]) -> list[SourceRow]:
    """The rows up to the hundredth readable one."""
    head: list[SourceRow] = []
    readable = 0
    while readable < ROWS_LOOKED_AT and (row := next(rows, None)) is not None:
        head.append(row)
        readable += row.row is not None
    return head


def _decided(head: list[SourceRow], recogniser: Recogniser) -> Columns | None:
    found: Counter[Columns] = Counter()
    problem: ValueError | None = None
    for row in (row.row for row in head if row.row is not None):
        try:
            found[recogniser.columns(row)] += 1
        except ValueError as error:
            problem = problem or error
    if problem is not None and not found:
        raise problem
    return _with_rewards(max(found, key=found.__getitem__), found) if found else None


def _with_rewards(columns: Columns, found: Counter[Columns]) -> Columns:
    """The columns with the rewards that fewer rows have beside the same other columns: a row may lack rewards."""
    if columns.has_rewards:
        return columns
    rewarded = (each for each in found if each.has_rewards and each.without_rewards == columns)
    return max(rewarded, key=found.__getitem__, default=columns)


def _refuse_mixture(first_file: str, first: Columns, file: str, columns: Columns, where: str) -> None:
    if first != columns:
        differing = listed(first.used ^ columns.used)
        raise ValueError(f"{where}: {first_file} and {file} differ in {differing}; give one schema at a time")


def _matched(row: SourceRow, columns: Columns | None, recogniser: Recogniser) -> tuple[SourceRow, Columns | None]:
    if row.row is None or columns is None:
        return row, None
    missing = columns.used.difference(row.row, columns.rewards)
    if missing:
        problem = f"missing column: {listed(missing)}, which the other rows of the file have"
        return replace(row, row=None, problem=problem), None
    try:
        extra = recogniser.columns(columns.rewards.union(row.row)).used - columns.used
    except ValueError as error:
        return replace(row, row=None, problem=f"other columns: {error}"), None
    if extra:
        problem = f"other columns: {listed(extra)}, which the other rows of the file have not"
        return replace(row, row=None, problem=problem), None
    return row, columns
