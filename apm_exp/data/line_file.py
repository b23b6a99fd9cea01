"""Rows of .jsonl and .jsonl.gz files, read as bytes line by line so that one bad line is one bad row."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from apm_exp.data.json_line import parse_object
from apm_exp.data.rows import BadRow, SourceRow, printable

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def line_rows(file: Path) -> Iterator[SourceRow]:
    """The rows of a file, one a line; blank lines are no rows.

    Raises ValueError where the file itself cannot be read on: no permission, or a damaged or cut .gz.
    """
    name = printable(file)
    number = 0
    try:
        with _opened(file) as lines:
            for number, line in enumerate(lines, 1):
                content = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
                if content.strip():
                    yield _row(f"{name}:{number}", content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"dataset.path={name}: cannot be read after line {number}: {error}") from error


def _opened(file: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(file)) if file.name.lower().endswith(".gz") else file.open("rb")


def _row(source: str, line: bytes) -> SourceRow:
    try:
        return SourceRow(source, parse_object(line), None)
    except BadRow as bad:
        return SourceRow(source, None, str(bad))
