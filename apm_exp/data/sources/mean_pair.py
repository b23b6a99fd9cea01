"""How long pairs are, by the characters of some rows: for plans, before anything is tokenized."""

from collections.abc import Iterable, Mapping
from typing import Any

from apm_exp.data.sources.rows import SourceRow

FEW = 100  # rows
_CHARACTERS = 4  # of a token, of English text and common tokenizers
Lengths = tuple[float, float, float]


def mean_pair_of(rows: Iterable[SourceRow]) -> Lengths | None:
    """Return the mean tokens of prompt, chosen and rejected response; None if the columns have other names."""
    counted = [lengths for row in rows if row.row is not None and (lengths := _lengths(row.row))]
    if not counted:
        return None
    prompt, chosen, rejected = (sum(part) / len(counted) / _CHARACTERS for part in zip(*counted, strict=True))
    return max(1.0, prompt), max(1.0, chosen), max(1.0, rejected)


def _lengths(row: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """Return the characters of a row with the columns chosen and rejected, texts or conversations."""
    before, chosen = _split(row.get("chosen"))
    _, rejected = _split(row.get("rejected"))
    asked = sum(_split(row.get("prompt")))
    return (asked or before, chosen, rejected) if chosen and rejected else None


def _split(value: Any) -> tuple[int, int]:
    """Return the characters before the last turn, and those of the last turn or the text."""
    if isinstance(value, str):
        return 0, len(value)
    turns = value if isinstance(value, list) else [value]
    texts = [turn.get("content") for turn in turns if isinstance(turn, Mapping)]
    counts = [len(text) for text in texts if isinstance(text, str)]
    return sum(counts[:-1]), sum(counts[-1:])
