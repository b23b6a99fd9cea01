"""The dataset component for FLR's benchmarks: two aligned JSON files of accepted and of rejected conversations."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from apm_exp.core.digest import local_paths
from apm_exp.data.sources.rows import SourceRow, printable

_ACCEPT, _REJECT = "_accept.json", "_reject.json"
_ROLES = ("user", "assistant")


def accept_reject(*, path: str | list[str]) -> Iterator[SourceRow]:
    """Yield one pair per row of {bench}_accept.json and {bench}_reject.json: a pattern that matches both, or a list.

    Each file is a JSON list of conversations: a list of texts, the user's first, or an object with such a list as
    `conversation`. The last text is the response. A conversation that does not end with a response is a bad row. Raises
    ValueError `dataset.path=...` if a file lacks its counterpart, cannot be read, or has another number or order of
    rows, which shows in the texts before the response.
    """
    for accept, reject in _both(path):
        yield from _pairs(accept, reject)


def files(*, path: str | list[str]) -> list[Path]:
    """Return the files that are read. Raises ValueError as `accept_reject`."""
    return [file for both in _both(path) for file in both]


def first_rows(most: int, *, path: str | list[str]) -> Iterator[SourceRow]:
    """Yield the first `most` readable rows of each pair of files. Raises ValueError as `accept_reject`."""
    for accept, reject in _both(path):
        yield from islice((row for row in [*_pairs(accept, reject)] if row.row is not None), most)


def _both(path: str | list[str]) -> list[tuple[Path, Path]]:
    """Return the files of accepted and of rejected conversations of each benchmark."""
    patterns = [path] if isinstance(path, str) else path
    found = {file for pattern in patterns for file in local_paths(pattern) if file.is_file()}
    accepted = sorted(file for file in found if file.name.endswith(_ACCEPT))
    both = [(file, file.with_name(file.name.removesuffix(_ACCEPT) + _REJECT)) for file in accepted]
    used = {file for each in both for file in each}
    shown = path if isinstance(path, str) else f"[{','.join(path)}]"
    remedy = f"give both files of a benchmark, BENCH{_ACCEPT} and BENCH{_REJECT}, such as dataset.path='BENCH_*.json'"
    if not found:
        raise ValueError(f"dataset.path={shown}: no such file; {remedy}")
    if alone := sorted(used ^ found):
        problem = "is not given" if alone[0] in used else f"has no accepted conversations of the name *{_ACCEPT}"
        raise ValueError(f"dataset.path={shown}: {printable(alone[0])} {problem}; {remedy}")
    return both


def _pairs(accept: Path, reject: Path) -> Iterator[SourceRow]:
    chosen, rejected = _read(accept), _read(reject)
    if len(chosen) != len(rejected):
        numbers = f"has {len(chosen):,} conversations and {reject.name} {len(rejected):,}"
        raise ValueError(f"dataset.path={printable(accept)}: {numbers}; give two files that are aligned row by row")
    for number, (one, other) in enumerate(zip(chosen, rejected, strict=True), 1):
        yield _pair(accept, reject, number, _texts(one), _texts(other))


def _pair(accept: Path, reject: Path, number: int, one: list[str] | None, other: list[str] | None) -> SourceRow:
    source = f"{printable(accept)}:{number}"
    if one is None or other is None:
        detail = "not a list of texts, nor an object with one as conversation"
        return SourceRow(source, None, f"not a conversation: {detail}")
    if one[:-1] != other[:-1]:
        problem = f"conversation {number} and that of {reject.name} differ before their last texts"
        raise ValueError(f"dataset.path={printable(accept)}: {problem}; put both files into the same order")
    if len(one) % 2:
        return SourceRow(source, None, f"no response: {len(one)} texts, the user's first, so the last is the user's")
    prompt = [{"role": _ROLES[turn % 2], "content": text} for turn, text in enumerate(one[:-1])]
    sides = {
        name: [{"role": "assistant", "content": texts[-1]}] for name, texts in (("chosen", one), ("rejected", other))
    }
    name = f"{accept.name.removesuffix(_ACCEPT)}-{number}"
    return SourceRow(source, {"pair_id": name, "prompt": prompt, **sides}, None)


def _read(file: Path) -> list[Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"dataset.path={printable(file)}: cannot be read as JSON ({error}); correct the file"
        ) from error
    if not isinstance(content, list):
        raise ValueError(f"dataset.path={printable(file)}: is no JSON list; give a list of conversations")
    return content


def _texts(row: Any) -> list[str] | None:
    """Return the texts of a conversation; None if it is not one."""
    texts = row.get("conversation") if isinstance(row, dict) else row
    return texts if isinstance(texts, list) and texts and all(isinstance(each, str) for each in texts) else None
