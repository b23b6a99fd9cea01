"""Strict parsing of a JSONL line as a JSON object: what lenient readers accept silently is a bad row here."""

import json
import re
from collections import Counter
from typing import Any

from apm_exp.data.sources.rows import BadRow

# Decoded UTF-8 can only contain a surrogate through an escape such as \ud83d; a pair of them is valid.
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_object(line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line. NaN and Infinity are read as floats, so that the check of rewards sees them.

    Raises BadRow: invalid UTF-8, invalid JSON, not an object, a repeated key, half of a surrogate pair.
    """
    text = _decoded(line)
    content = _loaded(text)
    if not isinstance(content, dict):
        raise BadRow("wrong type", f"the line is a JSON {type(content).__name__}, not an object")
    if _SURROGATE_ESCAPE.search(text):
        _refuse_lone_surrogates(content)
    return content


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRow("invalid UTF-8", f"byte 0x{line[error.start]:02x} at position {error.start + 1}") from None


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as error:
        cut = "" if text.endswith("\n") else " (the file ends in the middle of this line)"
        raise BadRow("invalid JSON", f"{error.msg} at column {error.colno}{cut}") from None
    except RecursionError:
        raise BadRow("invalid JSON", "nested too deeply") from None
    except BadRow:
        raise
    except ValueError as error:  # an integer of thousands of digits
        raise BadRow("invalid JSON", str(error)) from None


def _without_duplicates(items: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(items)
    if len(content) < len(items):
        times = Counter(name for name, _ in items)
        raise BadRow("duplicate key", f"{next(name for name in times if times[name] > 1)!r} is given twice")
    return content


def _refuse_lone_surrogates(content: dict[str, Any]) -> None:
    try:
        json.dumps(content, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        lone = error.object[error.start]
        raise BadRow("invalid UTF-8", f"\\u{ord(lone):04x} is half of a surrogate pair") from None
