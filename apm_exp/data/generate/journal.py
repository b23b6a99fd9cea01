"""What has been sampled so far, on disk, for a killed stage to resume from. A line is a JSON text after its sha256."""

import json
import logging
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from apm_exp.core.digest import text_digest
from apm_exp.core.types import Refusal
from apm_exp.data.generate.samples import Samples

logger = logging.getLogger(__name__)
Sampled = tuple[int, Samples | Refusal]  # the index of a prompt, and what came of it


def read_journal(path: Path) -> dict[int, Samples | Refusal]:
    """What a journal holds; from a line on that cannot be read, such as one that a kill cut off, it is truncated."""
    known: dict[int, Samples | Refusal] = {}
    if not path.exists():
        return known
    with path.open("rb+") as journal:
        whole = 0
        for line in iter(journal.readline, b""):
            try:
                index, one = _read(line)
            except (ValueError, TypeError, KeyError):
                logger.warning("%s: cannot be read after %d prompts; the others are sampled again", path, len(known))
                break
            known[index], whole = one, journal.tell()
        journal.truncate(whole)
    return known


def record(sampled: Iterable[Sampled], path: Path) -> Iterator[Sampled]:
    """Pass on what is sampled once it stands in the journal."""
    with path.open("a", encoding="utf-8") as journal:
        for index, one in sampled:
            row = json.dumps({"index": index, type(one).__name__: asdict(one)}, default=list)
            journal.write(f"{text_digest(row)} {row}\n")
            journal.flush()
            yield index, one


def _read(line: bytes) -> Sampled:
    digest, _, text = line.decode().partition(" ")
    if not text.endswith("\n") or text_digest(text[:-1]) != digest:
        raise ValueError("not as it was written")
    row = json.loads(text)
    if "Refusal" in row:
        return row["index"], Refusal(**row["Refusal"])
    samples = row["Samples"]
    if samples["ids"] is not None:
        samples |= {"prompt_ids": array("i", samples["prompt_ids"]), "ids": [array("i", ids) for ids in samples["ids"]]}
    return row["index"], Samples(**samples)
