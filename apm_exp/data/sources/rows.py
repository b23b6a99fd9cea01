"""What every dataset yields: source rows, each with where it stands; and how a bad row says what is wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SourceRow:
    """One row of a source, before any check of its content.

    source: "file:line" ("file:row" of a Parquet file), counted from 1. row: its columns, or None where it
    cannot be read; then problem is "reason: detail". held_out: whether its split is the held-out one.
    """

    source: str
    row: dict[str, Any] | None
    problem: str | None
    held_out: bool = False

    @property
    def file(self) -> str:
        """The source without its line."""
        return self.source.rpartition(":")[0]


def without_fill(value: Any) -> Any:
    """A value of a column store without the nulls inside its structs: there every struct has the fields of all others.

    Those of the outermost struct stay: a message without a content is one whose content is null.
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
    """A row that cannot be used. reason: a short stable text that is counted; detail: of this row."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def printable(path: Path) -> str:
    """A path as text that can be written anywhere; bytes of a name that are not UTF-8 are escaped."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def bad_row_of(problem: str) -> BadRow:
    """The BadRow that a SourceRow's problem describes."""
    reason, _, detail = problem.partition(": ")
    return BadRow(reason, detail)
