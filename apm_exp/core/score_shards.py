"""What has been scored so far, on disk: a killed scoring goes on from there.

A shard is the sha256 of its second line, and that line: a JSON list of [name, its scores ...]: a pair_id with the
log-probs of the chosen and the rejected response (nats), or what stands for a response with its reward. JSON keeps
every bit of a float.
"""

import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from apm_exp.core.digest import text_digest
from apm_exp.core.files import write_text

logger = logging.getLogger(__name__)
SECONDS_PER_SHARD = 30  # what a kill costs at most, besides the forward that runs
ITEMS_PER_SHARD = 4096
Scores = dict[str, tuple[float, ...]]  # by name
Scored = Sequence[tuple[Any, ...]]  # of one forward: the index of a name, and its scores


def read_shards(folder: Path) -> Scores:
    """All scores in a folder's shards; a damaged shard is removed, with a warning."""
    known: Scores = {}
    for path in sorted(folder.glob("*.shard")):
        digest, _, rows = path.read_text(encoding="utf-8", errors="replace").partition("\n")
        if text_digest(rows) != digest:
            logger.warning("%s: damaged; what it holds is scored again", path)
            path.unlink()
            continue
        known |= {name: tuple(scores) for name, *scores in json.loads(rows)}
    return known


def record(scored: Iterable[Scored], names: Sequence[str], folder: Path) -> Iterator[Scored]:
    """Pass on the batches of (index, scores) and write them, some at a time, as shards into the folder."""
    folder.mkdir(exist_ok=True)
    waiting: list[tuple[Any, ...]] = []
    last = time.monotonic()
    for batch in scored:
        waiting += batch
        yield batch
        if len(waiting) >= ITEMS_PER_SHARD or time.monotonic() - last >= SECONDS_PER_SHARD:
            _write(waiting, names, folder)
            waiting, last = [], time.monotonic()
    if waiting:
        _write(waiting, names, folder)


def _write(scored: Scored, names: Sequence[str], folder: Path) -> None:
    rows = json.dumps([[names[index], *scores] for index, *scores in scored], ensure_ascii=False)
    # By its first item and its process: two processes may have the same pair, where there are fewer pairs than they.
    path = folder / f"{scored[0][0]:09d}-{os.environ.get('RANK', '0')}.shard"
    write_text(f"{text_digest(rows)}\n{rows}", path)
