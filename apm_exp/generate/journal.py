"""What has been sampled so far, on disk: a killed stage goes on from there."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from apm_exp.files import write_text
from apm_exp.generate.samples import Samples
from apm_exp.types import Refusal

Sampled = tuple[int, Samples | Refusal]  # the index of a prompt, and what came of it


def read_journal(path: Path) -> dict[int, Samples | Refusal]:
    """What a journal holds; a last line that was cut off by a kill is removed."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    write_text("".join(whole), path)
    return dict(map(_read, whole))


def record(sampled: Iterable[Sampled], path: Path) -> Iterator[Sampled]:
    """Pass on what is sampled once it stands in the journal."""
    with path.open("a", encoding="utf-8") as journal:
        for index, one in sampled:
            journal.write(json.dumps({"index": index, type(one).__name__: asdict(one)}) + "\n")
            journal.flush()
            yield index, one


def _read(line: str) -> Sampled:
    row = json.loads(line)
    return row["index"], Samples(**row["Samples"]) if "Samples" in row else Refusal(**row["Refusal"])
