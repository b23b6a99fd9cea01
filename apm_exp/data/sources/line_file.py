"""Rows of .jsonl and .jsonl.gz files, read as bytes line by line, so that one bad line is one bad row."""

import gzip
import re
import shlex
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from apm_exp.data.sources.json_line import parse_object
from apm_exp.data.sources.rows import BadRow, SourceRow, printable

_STARTS = 64  # bytes at the start of a file that identify its type
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OTHER_KINDS = (  # by their first bytes; UTF-16 and UTF-32 without a byte order mark start with a brace and zeros
    ("UTF-32 text", (b"\xff\xfe\0\0", b"\0\0\xfe\xff", b"{\0\0\0", b"\0\0\0{"), "convert it: iconv -f UTF-32 -t UTF-8"),
    ("UTF-16 text", (b"\xff\xfe", b"\xfe\xff", b"{\0", b"\0{"), "convert it: iconv -f UTF-16 -t UTF-8"),
    ("gzip", (b"\x1f\x8b",), "call it .jsonl.gz"),
    ("Parquet", (b"PAR1",), "call it .parquet"),
    ("a ZIP archive", (b"PK\x03\x04",), "unpack it"),
    ("Zstandard, bzip2 or xz", (b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\0"), "unpack it, or pack it with gzip"),
    ("a pointer of Git LFS", (b"version https://git-lfs",), "fetch the file itself: git lfs pull"),
    ("a page of the web", (b"<!DOCTYPE", b"<!doctype", b"<html"), "download the file itself"),
)
_ARRAY = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*\{")


def line_rows(file: Path) -> Iterator[SourceRow]:
    """Yield the rows of a file, one per line; blank lines are skipped.

    Raises ValueError if the file is not UTF-8 text or cannot be read completely: no permission, a damaged or truncated
    .gz.
    """
    name = printable(file)
    number = 0
    try:
        _refuse_other_kinds(file, name)
        with _opened(file) as lines:
            for number, line in enumerate(lines, 1):
                content = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
                if content.strip():
                    yield _row(f"{name}:{number}", content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"dataset.path={name}: cannot be read after line {number}: {error}") from error


def _refuse_other_kinds(file: Path, name: str) -> None:
    with _opened(file) as content:
        start = content.read(_STARTS)
    if _ARRAY.match(start):
        remedy = f"write one object a line: jq -c '.[]' {shlex.quote(name)} > rows.jsonl"
        raise ValueError(f"dataset.path={name}: is one JSON array, not lines of JSON; {remedy}")
    for kind, marks, remedy in _OTHER_KINDS:
        if start.startswith(marks):
            raise ValueError(f"dataset.path={name}: is {kind}, not lines of JSON in UTF-8; {remedy}")


def _opened(file: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(file)) if file.name.lower().endswith(".gz") else file.open("rb")


def _row(source: str, line: bytes) -> SourceRow:
    try:
        return SourceRow(source, parse_object(line), None)
    except BadRow as bad:
        return SourceRow(source, None, str(bad))
