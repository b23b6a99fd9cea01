"""Reading of the pair_ids listed in a file or in an exported folder."""

import gzip
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core.digest import local_paths

_AT_ONCE = 2**16
_SHOWN = 5
_EXPORTED = "data/train-*.parquet"  # as task=export writes them; the pairs of the test split were never kept


def named_ids(path: str) -> pa.Array:
    """Return the ids in ascending order, without duplicates, as large strings; K ids take about K * (8 + length) bytes.

    path: Parquet with a column pair_id (if it has a boolean column kept, as selection.parquet does, only its true
    rows), an exported folder, .jsonl or .jsonl.gz with a field pair_id, or text with one id per line. Raises ValueError
    `keep.path=...` if there is no such file, or if it cannot be read, is empty, or lists a pair twice.
    """
    setting = f"keep.path={path}"
    try:
        parts = [part for file in _files(setting, path) for part in _reader(file)(file)]
    except (OSError, EOFError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        if str(error).startswith(setting):
            raise
        expected = "expected a column or field pair_id, or one id per line"
        raise ValueError(f"{setting}: cannot be read ({_one_line(error)}); {expected}") from error
    ids = pa.chunked_array(parts, pa.large_string()).combine_chunks()
    if ids.null_count or not len(ids):
        problem = "has a pair_id that is null" if ids.null_count else "lists no pair"
        raise ValueError(f"{setting}: {problem}; give a file with the pair_ids to keep")
    ids = ids.take(pc.sort_indices(ids))
    twice = ids[1:].filter(pc.equal(ids[1:], ids[:-1])).unique()
    if len(twice):
        raise ValueError(f"{setting}: lists {len(twice)} pairs more than once ({shown(twice)}); list each once")
    return ids


def shown(ids: pa.Array) -> str:
    """Return the first few ids as text for a message."""
    first = ", ".join(str(pair_id) for pair_id in ids[:_SHOWN])
    return f"pair_id {first}" + (", ..." if len(ids) > _SHOWN else "")


def _files(setting: str, path: str) -> list[Path]:
    files = local_paths(path)  # the same lookup as for the cache key
    if not files:
        raise ValueError(f"{setting}: no such file; relative paths are relative to {Path.cwd()}")
    if len(files) == 1 and files[0].is_dir():
        files = sorted(files[0].glob(_EXPORTED))
        if not files:
            raise ValueError(f"{setting}: this folder has no {_EXPORTED}; give an exported folder or a file")
    return files


def _reader(file: Path) -> Callable[[Path], Iterator[pa.Array]]:
    name = file.name.lower()
    if name.endswith(".parquet"):
        return _of_parquet
    return _of_jsonl if name.endswith((".jsonl", ".jsonl.gz")) else _of_text


def _of_parquet(file: Path) -> Iterator[pa.Array]:
    with pq.ParquetFile(file, pre_buffer=False) as content:
        schema = content.schema_arrow
        marked = "kept" in schema.names and pa.types.is_boolean(schema.field("kept").type)
        if "pair_id" not in schema.names:
            raise ValueError(f"its columns are {', '.join(schema.names)}")
        for batch in content.iter_batches(_AT_ONCE, columns=["pair_id", *(["kept"] if marked else [])]):
            ids = batch["pair_id"].filter(batch["kept"]) if marked else batch["pair_id"]
            yield ids.cast(pa.large_string())


def _of_jsonl(file: Path) -> Iterator[pa.Array]:
    return _arrays(str(json.loads(line)["pair_id"]) for line in _lines(file))


def _of_text(file: Path) -> Iterator[pa.Array]:
    return _arrays(_lines(file))


def _arrays(ids: Iterator[str]) -> Iterator[pa.Array]:
    while part := list(islice(ids, _AT_ONCE)):
        yield pa.array(part, pa.large_string())


def _lines(file: Path) -> Iterator[str]:
    """Yield the lines that are not blank, stripped of whitespace."""
    opened = gzip.open if file.name.lower().endswith(".gz") else open
    with opened(file, "rt", encoding="utf-8-sig") as content:
        yield from (line.strip() for line in content if line.strip())


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
