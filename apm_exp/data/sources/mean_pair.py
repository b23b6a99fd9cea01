"""How long pairs are, by the characters of some rows: for plans, before anything is tokenized."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from apm_exp.data.sources.known_columns import with_known_columns
from apm_exp.data.sources.rows import BadRow, SourceRow

FEW = 100  # rows
_CHARACTERS = 4  # of a token, of English text and common tokenizers
Lengths = tuple[float, float, float]
_File = tuple[Path, int, int]  # with its size and its time
_measured: dict[_File, list[Lengths]] = {}  # of the first rows of files that this process has read


def measured(file: Path, rows: Iterable[SourceRow]) -> Iterator[SourceRow]:
    """Yield the first rows of a file; if all are taken, their lengths are kept, as rows may be slow to read again."""
    key, lengths = _version(file), []
    for row in rows:
        if row.row is not None and (counted := _lengths(row.row)):
            lengths.append(counted)
        yield row
    _measured[key] = lengths


def lengths_of(file: Path, rows: Iterable[SourceRow]) -> list[Lengths]:
    """Return the characters of a file's first pairs: prompt, chosen and rejected response. rows: read if necessary."""
    key = _version(file)
    if key not in _measured:
        for _ in measured(file, rows):
            pass
    return _measured.get(key, [])


def mean_pair_of(counted: Iterable[Lengths]) -> Lengths | None:
    """Return the mean tokens of prompt, chosen and rejected response; None if no row has the columns."""
    each = list(counted)
    if not each:
        return None
    prompt, chosen, rejected = (sum(part) / len(each) / _CHARACTERS for part in zip(*each, strict=True))
    return max(1.0, prompt), max(1.0, chosen), max(1.0, rejected)


def _version(file: Path) -> _File:
    status = file.stat()
    return file, status.st_size, status.st_mtime_ns


def _lengths(row: Mapping[str, Any]) -> Lengths | None:
    """Return the characters of a row with the columns chosen and rejected, texts or conversations."""
    try:
        known = with_known_columns(row)
    except BadRow:
        return None
    before, chosen = _split(known.get("chosen"))
    _, rejected = _split(known.get("rejected"))
    asked = sum(_split(known.get("prompt")))
    return (asked or before, chosen, rejected) if chosen and rejected else None


def _split(value: Any) -> tuple[int, int]:
    """Return the characters before the last turn, and those of the last turn or the text."""
    if isinstance(value, str):
        return 0, len(value)
    turns = value if isinstance(value, list) else [value]
    texts = [turn.get("content") for turn in turns if isinstance(turn, Mapping)]
    counts = [len(text) for text in texts if isinstance(text, str)]
    return sum(counts[:-1]), sum(counts[-1:])
