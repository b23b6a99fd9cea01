"""What has been scored so far, on disk: a killed scoring goes on from there.

A shard is the sha256 of its second line, and that line: a JSON list of [pair_id, log-prob of the chosen response, of
the rejected one] (nats; JSON keeps every bit of a float).
"""

import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from apm_exp.digest import text_digest
from apm_exp.files import write_text

logger = logging.getLogger(__name__)
SECONDS_PER_SHARD = 30  # what a kill costs at most, besides the forward that runs
PAIRS_PER_SHARD = 4096
Logps = dict[str, tuple[float, float]]  # pair_id -> log-probs of the chosen and of the rejected response, nats


def read_shards(folder: Path) -> Logps:
    """All log-probs in a folder's shards; a damaged shard is removed, with a warning."""
    known: Logps = {}
    for path in sorted(folder.glob("*.shard")):
        digest, _, rows = path.read_text(encoding="utf-8", errors="replace").partition("\n")
        if text_digest(rows) != digest:
            logger.warning("%s: damaged; its pairs are scored again", path)
            path.unlink()
            continue
        known |= {pair_id: (chosen, rejected) for pair_id, chosen, rejected in json.loads(rows)}
    return known


def record(
    scored: Iterable[Sequence[tuple[int, float, float]]], names: Sequence[str], folder: Path
) -> Iterator[Sequence[tuple[int, float, float]]]:
    """Pass on the batches of (index, log-probs) and write them, some at a time, as shards into the folder."""
    folder.mkdir(exist_ok=True)
    waiting: list[tuple[int, float, float]] = []
    last = time.monotonic()
    for batch in scored:
        waiting += batch
        yield batch
        if len(waiting) >= PAIRS_PER_SHARD or time.monotonic() - last >= SECONDS_PER_SHARD:
            _write(waiting, names, folder)
            waiting, last = [], time.monotonic()
    if waiting:
        _write(waiting, names, folder)


def _write(scored: Sequence[tuple[int, float, float]], names: Sequence[str], folder: Path) -> None:
    rows = json.dumps([[names[index], *logps] for index, *logps in scored], ensure_ascii=False)
    # By its first pair and its process: two processes may have the same pair, where there are fewer pairs than they.
    path = folder / f"{scored[0][0]:09d}-{os.environ.get('RANK', '0')}.shard"
    write_text(f"{text_digest(rows)}\n{rows}", path)
