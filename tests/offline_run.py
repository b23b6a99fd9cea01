"""Read back what an offline W&B run recorded: records of the LevelDB log format, in blocks of 32 KiB."""

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as proto

_BLOCK, _HEADER = 32768, 7
_FULL, _FIRST, _LAST = 1, 2, 4
_SECONDS_TO_CLOSE = 20


@dataclass
class OfflineRun:
    """What was recorded: logged rows, configuration, summary, artifacts (type, name, files), and how the run ended."""

    run_id: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    group: str = ""
    job_type: str = ""
    project: str = ""
    artifacts: list[tuple[str, str, list[str]]] = field(default_factory=list)
    exit_code: int | None = None


def _records(content: bytes) -> Iterator[Any]:
    position, message = _HEADER, b""
    while position + _HEADER <= len(content):
        left = _BLOCK - position % _BLOCK
        if left < _HEADER:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + _HEADER])
        if kind == 0 and length == 0:
            return
        chunk = content[position + _HEADER : position + _HEADER + length]
        position += _HEADER + length
        message = chunk if kind in (_FULL, _FIRST) else message + chunk
        if kind in (_FULL, _LAST):
            yield proto.Record.FromString(message)


def _items(items: Any) -> dict[str, Any]:
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def read_offline_run(folder: Path) -> OfflineRun:
    """The one run that was recorded below `folder`. W&B's service closes the file a moment after the run's end."""
    deadline = time.monotonic() + _SECONDS_TO_CLOSE
    while (run := _read(folder)).exit_code is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return run


def _read(folder: Path) -> OfflineRun:
    (path,) = folder.rglob("*.wandb")
    run = OfflineRun()
    for record in _records(path.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.run_id, run.group, run.project = record.run.run_id, record.run.run_group, record.run.project
            run.job_type = record.run.job_type
            run.config |= _items(record.run.config.update)
        elif kind == "config":
            run.config |= _items(record.config.update)
        elif kind == "history":
            run.history.append(_items(record.history.item))
        elif kind == "summary":
            run.summary |= _items(record.summary.update)
        elif kind == "artifact":
            files = [entry.path for entry in record.artifact.manifest.contents]
            run.artifacts.append((record.artifact.type, record.artifact.name, files))
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run
