"""A source of rows: the lines of the files of a folder."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

from pydantic import Field

from apm_exp.data.sources.rows import SourceRow


def lines(*, folder: str, most: Annotated[int, Field(gt=0)]) -> Iterator[SourceRow]:
    """Read a prompt a line of each file of a folder."""
    for file in files(folder=folder):
        for number, line in enumerate(file.read_text().splitlines()[:most], 1):
            yield SourceRow(f"{file}:{number}", {"prompt": line, "chosen": "yes", "rejected": "no"}, None)


def files(*, folder: str) -> list[Path]:
    """Return the files of the folder."""
    return sorted(Path(folder).iterdir())


def rows(*, folder: str, most: int) -> int:
    """Return the number of lines."""
    return sum(min(most, len(file.read_text().splitlines())) for file in files(folder=folder))


def first_rows(count: int, *, folder: str, most: int) -> Iterator[SourceRow]:
    """Yield the first rows."""
    return islice(lines(folder=folder, most=most), count)
