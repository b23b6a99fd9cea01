"""Detection of the schema of a source's rows, from the first hundred rows of each file."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, groupby

from apm_exp.data.sources.known_columns import with_known_columns
from apm_exp.data.sources.rows import BadRow, SourceRow
from apm_exp.data.sources.schemas import Columns, Recognizer, listed

ROWS_LOOKED_AT = 100


def with_columns(rows: Iterable[SourceRow], recognizer: Recognizer) -> Iterator[tuple[SourceRow, Columns | None]]:
    """Yield each row with the meaning of its file's columns; None for a bad row.

    The most frequent set of columns among the first readable rows of a file is used (ties: the first), with rewards if
    any of these rows has them; a row with other columns is a bad row. Raises ValueError if none of these rows matches a
    schema, or if files differ.
    """
    first: tuple[str, Columns] | None = None
    for file, of_file in groupby(map(_known, rows), key=lambda row: row.file):
        head = _head(of_file)
        columns = _decided(head, recognizer)
        if columns is not None:
            first = first or (file, columns)
            _refuse_mixture(*first, file, columns, recognizer.where)
        for row in chain(head, of_file):
            yield _matched(row, columns, recognizer)


def _known(row: SourceRow) -> SourceRow:
    """Return the row with its known columns renamed."""
    try:
        return row if row.row is None else replace(row, row=with_known_columns(row.row))
    except BadRow as bad:
        return replace(row, row=None, problem=str(bad))


def _head(rows: Iterator[SourceRow]) -> list[SourceRow]:
    """Return the rows up to the hundredth readable one."""
    head: list[SourceRow] = []
    readable = 0
    while readable < ROWS_LOOKED_AT and (row := next(rows, None)) is not None:
        head.append(row)
        readable += row.row is not None
    return head


def _decided(head: list[SourceRow], recognizer: Recognizer) -> Columns | None:
    counts: Counter[Columns] = Counter()
    problem: ValueError | None = None
    for row in (row.row for row in head if row.row is not None):
        try:
            counts[recognizer.columns(row)] += 1
        except ValueError as error:
            problem = problem or error
    if problem is not None and not counts:
        raise problem
    return _with_rewards(max(counts, key=counts.__getitem__), counts) if counts else None


def _with_rewards(columns: Columns, counts: Counter[Columns]) -> Columns:
    """Return the columns including rewards, if some rows have rewards besides the same other columns.

    A row may lack rewards.
    """
    if columns.has_rewards:
        return columns
    rewarded = (each for each in counts if each.has_rewards and each.without_rewards == columns)
    return max(rewarded, key=counts.__getitem__, default=columns)


def _refuse_mixture(first_file: str, first: Columns, file: str, columns: Columns, where: str) -> None:
    if first != columns:
        differing = listed(first.used ^ columns.used)
        raise ValueError(f"{where}: {first_file} and {file} differ in {differing}; use files with one schema")


def _matched(row: SourceRow, columns: Columns | None, recognizer: Recognizer) -> tuple[SourceRow, Columns | None]:
    if row.row is None or columns is None:
        return row, None
    missing = columns.used.difference(row.row, columns.rewards)
    if missing:
        problem = f"missing column: {listed(missing)}, which the other rows of the file have"
        return replace(row, row=None, problem=problem), None
    try:
        extra = recognizer.columns(columns.rewards.union(row.row)).used - columns.used
    except ValueError as error:
        return replace(row, row=None, problem=f"other columns: {error}"), None
    if extra:
        problem = f"other columns: {listed(extra)}, which the other rows of the file lack"
        return replace(row, row=None, problem=problem), None
    return row, columns
