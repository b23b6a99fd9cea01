"""The files of `dataset.path`, and the reader of each."""

import gzip
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq

from apm_exp.core.digest import local_paths
from apm_exp.core.odd_files import odd_kind
from apm_exp.data.sources.line_file import line_rows
from apm_exp.data.sources.parquet_file import parquet_rows
from apm_exp.data.sources.rows import SourceRow, printable

_READERS: dict[str, Callable[[Path], Iterator[SourceRow]]] = {
    ".jsonl": line_rows,
    ".jsonl.gz": line_rows,
    ".parquet": parquet_rows,
}
_CHUNK = 2**20  # bytes


def files_of(path: str | list[str]) -> list[Path]:
    """Return the files of a path, a pattern or a list of them, in that order and without repetition.

    Raises ValueError `dataset.path=...` for a missing or unreadable file, a pattern without a match, a folder, or a
    suffix without a reader.
    """
    patterns = [path] if isinstance(path, str) else path
    if not patterns:
        raise ValueError("dataset.path=[]: the list is empty; give at least one file")
    # the same lookup as for the cache key, so that no file is read that is not in the key
    files = [_checked(file) for pattern in patterns for file in _matches(pattern)]
    return list(dict.fromkeys(files))


def rows_of(file: Path) -> Iterator[SourceRow]:
    """Yield the rows of a file that `files_of` has checked."""
    return _READERS[_suffix(file)](file)


def count_in(file: Path) -> int:
    """Return the number of rows of a Parquet file, or of lines of a text file, which is read once per process."""
    status = file.stat()
    return _counted(file, status.st_size, status.st_mtime_ns)


@cache
def _counted(file: Path, _size: int, _time: int) -> int:
    if file.suffix.lower() == ".parquet":
        return int(pq.read_metadata(file).num_rows)
    with gzip.open(file) if file.name.lower().endswith(".gz") else file.open("rb") as content:
        chunks = iter(lambda: content.read(_CHUNK), b"")
        counted = [(chunk.count(b"\n"), chunk[-1:]) for chunk in chunks]
    return sum(lines for lines, _ in counted) + bool(counted and counted[-1][1] != b"\n")


def _suffix(file: Path) -> str:
    return next((suffix for suffix in _READERS if file.name.lower().endswith(suffix)), "")


def _matches(pattern: str) -> list[Path]:
    files = [file for file in local_paths(pattern) if file.exists()]  # a link may be broken
    if files:
        return files
    if any(character in pattern for character in "*?["):
        raise ValueError(f"dataset.path={pattern}: no file matches; relative patterns are relative to {Path.cwd()}")
    raise ValueError(f"dataset.path={pattern}: no such file; relative paths are relative to {Path.cwd()}")


def _checked(file: Path) -> Path:
    name = printable(file)
    if file.is_dir():
        remedy = f"name its files, such as dataset.path='{name}/*.parquet'"
        raise ValueError(f"dataset.path={name}: is a folder; {remedy}")
    if kind := odd_kind(file):
        raise ValueError(f"dataset.path={name}: is {kind}, not a regular file; write its rows to a file first")
    if not _suffix(file):
        known = ", ".join(_READERS)
        raise ValueError(f"dataset.path={name}: cannot tell its format; rename or convert it to one of {known}")
    if not os.access(file, os.R_OK):
        raise ValueError(f"dataset.path={name}: cannot be read (permission denied); change its permissions")
    return file
