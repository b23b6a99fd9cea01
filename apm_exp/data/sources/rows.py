"""The rows that every dataset yields, with their position in the source, and the error for a bad row."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SourceRow:
    """One row of a source, before any check of its content.

    source: "file:line" ("file:row" of a Parquet file), counted from 1. row: its columns, or None if it cannot be read;
    then problem is "reason: detail". A prompt that was made from another one, and is refused, has both. held_out:
    whether it belongs to the held-out split. rank: its holdout_rank (see core.split) if that is not the place of its
    own prompt.
    """

    source: str
    row: dict[str, Any] | None
    problem: str | None
    held_out: bool = False
    rank: int | None = None

    @property
    def file(self) -> str:
        """Return the source without its line."""
        return self.source.rpartition(":")[0]


def without_fill(value: Any) -> Any:
    """Return a value of a column store without the nulls inside its structs, where all structs have the same fields.

    Nulls of the outermost struct are kept: a message without a content is one whose content is null.
    """
    return _inner(value, _kept)


def _inner(value: Any, of_struct: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    if isinstance(value, list):
        return [_inner(each, of_struct) for each in value] if value and isinstance(value[0], list | dict) else value
    return of_struct(value) if isinstance(value, dict) else value


def _kept(struct: dict[str, Any]) -> dict[str, Any]:
    return {name: _inner(value, _filled) for name, value in struct.items()}


def _filled(struct: dict[str, Any]) -> dict[str, Any]:
    return {name: _inner(value, _filled) for name, value in struct.items() if value is not None}


class BadRow(ValueError):
    """An error for a row that cannot be used. reason: a short stable text that is counted; detail: of this row."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def printable(path: Path) -> str:
    """Return a path as printable text; bytes of a name that are not UTF-8 are escaped."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def bad_row_of(problem: str) -> BadRow:
    """Return the BadRow that a SourceRow's problem describes."""
    reason, _, detail = problem.partition(": ")
    return BadRow(reason, detail)
