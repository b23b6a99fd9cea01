"""The dataset component for local files."""

from collections.abc import Iterator
from itertools import chain

from apm_exp.data.sources.rows import SourceRow
from apm_exp.data.sources.source_files import files_of, rows_of


def jsonl(*, path: str | list[str]) -> Iterator[SourceRow]:
    """Yield the rows of .jsonl, .jsonl.gz and .parquet files: one path, a glob pattern, or a list of them.

    Files are read one after the other, a row at a time. Raises ValueError `dataset.path=...` (see `files_of`) at once,
    and later if a file is damaged.
    """
    return chain.from_iterable(map(rows_of, files_of(path)))
