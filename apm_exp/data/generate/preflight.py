"""A cheap look at the prompts of a dataset before any work starts."""

from collections.abc import Mapping
from typing import Any

from apm_exp.data.generate.prompts import Prompt, read_prompts
from apm_exp.data.sources.preflight import first_rows, where_of
from apm_exp.data.sources.recognition import ROWS_LOOKED_AT


def first_prompts(dataset: Mapping[str, Any]) -> list[Prompt]:
    """Return the prompts of the first rows of a dataset node, of each file; none if its module does not give rows."""
    return read_prompts(first_rows(dataset) or ()).accepted


def check_prompts(dataset: Mapping[str, Any]) -> None:
    """Raise ValueError if none of the first rows has a prompt, and these are all rows or all lack the column."""
    found = read_prompts(first_rows(dataset) or ())
    if found.accepted or not found.refused:
        return
    lacking = all(refusal["reason"] == "missing column" for refusal in found.refused)
    if lacking or found.rows < ROWS_LOOKED_AT:
        first = found.refused[0]
        problem = f"{first['source']}: {first['reason']}: {first['detail']}"
        raise ValueError(f"{where_of(dataset)}: none of its rows has a prompt to respond to: {problem}")
