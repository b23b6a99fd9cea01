"""The dataset component for local files."""

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from apm_exp.data.sources.mean_pair import FEW, Lengths, lengths_of, mean_pair_of, measured
from apm_exp.data.sources.rows import SourceRow
from apm_exp.data.sources.source_files import count_in, files_of, rows_of


def jsonl(*, path: str | list[str]) -> Iterator[SourceRow]:
    """Yield the rows of .jsonl, .jsonl.gz and .parquet files: one path, a glob pattern, or a list of them.

    Files are read one after the other, a row at a time. Raises ValueError `dataset.path=...` (see `files_of`) at once,
    and later if a file is damaged.
    """
    return chain.from_iterable(map(rows_of, files_of(path)))


def files(*, path: str | list[str]) -> list[Path]:
    """Return the files that are read. Raises ValueError as `files_of`."""
    return files_of(path)


def rows(*, path: str | list[str]) -> int:
    """Return the number of rows, without reading what is in them. Raises ValueError as `files_of`."""
    return sum(map(count_in, files_of(path)))


def mean_pair(*, path: str | list[str]) -> Lengths | None:
    """Return the tokens of a mean pair, by the characters of the first rows. Raises ValueError as `files_of`."""
    return mean_pair_of(each for file in files_of(path) for each in lengths_of(file, _readable(file, FEW)))


def first_rows(most: int, *, path: str | list[str]) -> Iterator[SourceRow]:
    """Yield the first `most` readable rows of each file. Raises ValueError as `files_of`."""
    for file in files_of(path):
        yield from measured(file, _readable(file, most))


def _readable(file: Path, most: int) -> Iterator[SourceRow]:
    return islice((row for row in rows_of(file) if row.row is not None), most)
