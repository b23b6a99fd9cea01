"""Reuse responses that earlier steps have sampled from the same policy with the same settings.

A response depends only on the policy, the settings, the content of its prompt, and its number. A step with more
responses per prompt, or with other prompts, can therefore reuse those of other steps.
"""

import hashlib
import io
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import OmegaConf

from apm_exp.core.artifact import DONE
from apm_exp.core.digest import canonical, text_digest
from apm_exp.core.sealed import Damaged, read_sealed
from apm_exp.data.generate.samples import Drawn, Response

logger = logging.getLogger(__name__)
FILE = "generations.parquet"
_READ = ["prompt", "tools", "responses", "finished", "lengths", "logps", "prompt_ids", "response_ids"]
_ROWS_AT_ONCE = 1000


def sampled_earlier(out: Path, prompts: pa.Table, samples: int) -> Iterator[Drawn]:
    """Yield the responses that finished steps have sampled and this step would sample too.

    out: the folder of this step; the other steps are its siblings. The index of a response is its prompt's row in
    `prompts`, and its number is below `samples`. A response that two steps have is yielded twice. Damaged files are
    skipped.
    """
    family = _family(out)
    if family is None:
        return
    row_of = {_prompt_key(row): index for index, row in enumerate(prompts.select(["prompt", "tools"]).to_pylist())}
    for other in sorted(out.parent.glob("*/done")):
        if other.parent != out and _family(other.parent) == family and (content := _intact(other)):
            yield from _responses(content, row_of, samples)


def _family(folder: Path) -> str | None:
    """Return, as text, what the responses of a step depend on besides their prompts and numbers; None if unreadable."""
    try:
        record: Any = OmegaConf.to_container(OmegaConf.load(folder / "inputs.yaml"))
        inputs = record["inputs"]
        generate = {name: value for name, value in inputs["generate"].items() if name != "samples"}
        builds = {place: build for place, build in record["builds"].items() if not place.startswith("prompts/")}
        return canonical([record["version"], inputs["policy"], generate, builds])
    except Exception:  # parsing a damaged or unfinished file can raise anything
        return None


def _intact(done: Path) -> bytes | None:
    """Return the content of a finished step's table, or None if it is damaged."""
    try:
        expected = read_sealed(done, *DONE)["files"][FILE]["sha256"]
        content = (done.parent / FILE).read_bytes()
    except (OSError, Damaged, KeyError, TypeError):
        return None
    return content if hashlib.sha256(content).hexdigest() == expected else None


def _responses(content: bytes, row_of: Mapping[str, int], samples: int) -> Iterator[Drawn]:
    for batch in pq.ParquetFile(io.BytesIO(content)).iter_batches(_ROWS_AT_ONCE, columns=_READ):
        for row in batch.to_pylist():
            if (index := row_of.get(_prompt_key(row))) is not None:
                yield from ((index, number, _response(row, number)) for number in _numbers(row, samples))


def _numbers(row: Mapping[str, Any], samples: int) -> range:
    return range(min(samples, len(row["responses"])))


def _response(row: Mapping[str, Any], number: int) -> Response:
    logps, ids = row["logps"], row["response_ids"]
    return Response(
        text=row["responses"][number],
        finished=row["finished"][number],
        length=row["lengths"][number],
        logp=None if logps is None else logps[number],
        prompt_ids=row["prompt_ids"],
        ids=None if ids is None else ids[number],
    )


def _prompt_key(row: Mapping[str, Any]) -> str:
    return text_digest(canonical([row["prompt"], row["tools"]]))
