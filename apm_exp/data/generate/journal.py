"""The responses that were sampled so far, on disk, so that a killed stage can resume."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from apm_exp.core import results_file
from apm_exp.core.types import Refusal
from apm_exp.data.generate.samples import Drawn, Response


def read_journal(folder: Path) -> dict[tuple[int, int], Response | Refusal]:
    """Return the responses and refusals of a journal, by the prompt's index and the response's number."""
    known: dict[tuple[int, int], Response | Refusal] = {}
    for name, result in results_file.read_results(folder):
        index, number = map(int, name.split())
        known[index, number] = _read(result)
    return known


def record(drawn: Iterable[Drawn], folder: Path) -> Iterator[Drawn]:
    """Yield each response after it is written to the journal."""
    return results_file.record(drawn, _result, folder)


def _result(drawn: Drawn) -> dict[str, Any]:
    index, number, response = drawn
    content = asdict(response)
    for name in ("prompt_ids", "ids"):
        if content.get(name) is not None:
            content[name] = list(content[name])
    return {f"{index} {number}": {type(response).__name__: content}}


def _read(result: dict[str, Any]) -> Response | Refusal:
    if "Refusal" in result:
        return Refusal(**result["Refusal"])
    response = result["Response"]
    for name in ("prompt_ids", "ids"):
        if response[name] is not None:
            response[name] = array("i", response[name])
    return Response(**response)
