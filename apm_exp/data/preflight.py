"""A cheap look at the dataset before any work starts."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from apm_exp.data.jsonl import jsonl
from apm_exp.data.reader import reader
from apm_exp.data.recognition import ROWS_LOOKED_AT, with_columns
from apm_exp.data.rows import SourceRow
from apm_exp.data.schemas import Recogniser
from apm_exp.data.source_files import files_of, rows_of


def preflight(node: Mapping[str, Any]) -> bool | None:
    """Whether the rows of a dataset node carry rewards; None for other sources than files.

    Looks at the first readable rows of each file. Raises ValueError with one line: a wrong setting, a missing
    or unreadable file, columns that fit no schema or differ between files, a named reward column that is not
    there.
    """
    read = reader(node)
    if read.func is not jsonl:
        return None
    recogniser = Recogniser(where_of(node), node["chosen_reward"], node["rejected_reward"])
    meanings = [columns for _, columns in with_columns(_first_rows(node["path"]), recogniser) if columns]
    if not meanings:
        raise ValueError(f"{recogniser.where}: has no row that is a JSON object; give one JSON object a line")
    return meanings[0].has_rewards


def where_of(node: Mapping[str, Any]) -> str:
    """How errors name the source of a dataset node, as the user would type it."""
    path = node.get("path")
    if path is None:
        return "dataset"
    return f"dataset.path={path if isinstance(path, str) else '[' + ','.join(path) + ']'}"


def _first_rows(path: str | list[str]) -> Iterator[SourceRow]:
    for file in files_of(path):
        yield from islice((row for row in rows_of(file) if row.row is not None), ROWS_LOOKED_AT)
