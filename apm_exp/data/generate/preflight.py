"""A quick check of the prompts of a dataset before any work."""

from collections.abc import Mapping
from typing import Any

from apm_exp.data.generate.prompts import Prompt, read_prompts
from apm_exp.data.sources.preflight import first_rows, where_of
from apm_exp.data.sources.recognition import ROWS_LOOKED_AT


def first_prompts(dataset: Mapping[str, Any]) -> list[Prompt]:
    """Return the prompts of the first rows of each file; none if the dataset's module does not provide `first_rows`."""
    return read_prompts(first_rows(dataset) or ()).accepted


def check_prompts(dataset: Mapping[str, Any]) -> None:
    """Raise ValueError if none of the first rows has a prompt, and there are no other rows or all lack the column."""
    result = read_prompts(first_rows(dataset) or ())
    if result.accepted or not result.refused:
        return
    lacking = all(refusal["reason"] == "missing column" for refusal in result.refused)
    if lacking or result.rows < ROWS_LOOKED_AT:
        first = result.refused[0]
        problem = f"{first['source']}: {first['reason']}: {first['detail']}"
        raise ValueError(f"{where_of(dataset)}: none of its rows has a prompt to respond to: {problem}")
