"""The dataset component for rated responses: rows of a prompt, a response, and the rating that people gave it."""

from collections.abc import Iterator

from apm_exp.data.sources.jsonl import jsonl
from apm_exp.data.sources.rows import SourceRow
from apm_exp.data.sources.source_files import count_in, files_of

RATED = True  # the rows are no pairs: only pipeline=reward_eval reads them


def rated(*, path: str | list[str], rating: str) -> Iterator[SourceRow]:
    """Yield the rows of .jsonl, .jsonl.gz and .parquet files: prompt (text or messages), response (text) and a rating.

    rating: the name of the column with the rating, a number. Raises ValueError as `jsonl`.
    """
    return jsonl(path=path)


def rows(*, path: str | list[str]) -> int:
    """Return the number of rows, without reading what is in them. Raises ValueError as `jsonl`."""
    return sum(map(count_in, files_of(path)))
