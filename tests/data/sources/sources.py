"""Small sources of preference pairs for the tests of apm_exp/data."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from apm_exp.core.files import read_jsonl
from apm_exp.data.sources.prepare import prepare_pairs
from apm_exp.data.sources.rows import SourceRow

SETTINGS = {
    "limit": None,
    "seed": 0,
    "on_bad_row": "refuse",
    "chosen_reward": None,
    "rejected_reward": None,
}


@dataclass(frozen=True)
class Prepared:
    """What prepare_pairs returned and wrote."""

    counts: dict[str, int]
    pairs: list[dict[str, Any]]
    refused: list[dict[str, Any]]


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def stored_turn(role: str, content: str | None, **fields: Any) -> dict[str, Any]:
    """A turn as tables have it."""
    return {"role": role, "content": content, "extra": json.dumps(fields) if fields else None}


def trl_row(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A pair of texts with rewards 2 and 1; a change to `...` takes the column away."""
    row = {
        "id": f"row-{number}",
        "prompt": f"question {number}",
        "chosen": f"good answer {number}",
        "rejected": f"bad answer {number}",
        "chosen_reward": 2.0,
        "rejected_reward": 1.0,
    }
    return _changed(row, changes)


def simpo_row(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A row of SimPO's on-policy schema with three responses, the last one chosen and the second rejected."""
    prompt = turn("user", f"question {number}")
    row = {
        "prompt": prompt["content"],
        "prompt_id": f"prompt-{number}",
        "all_generated_responses": ["fair", "bad", "good"],
        "all_rm_scores": [0.5, -1.0, 3.0],
        "chosen": [prompt, turn("assistant", "good")],
        "rejected": [prompt, turn("assistant", "bad")],
    }
    return _changed(row, changes)


def _changed(row: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (row | changes).items() if value is not ...}


def as_rows(contents: Iterable[dict[str, Any]], file: str = "rows.jsonl") -> list[SourceRow]:
    return [SourceRow(f"{file}:{line}", content, None) for line, content in enumerate(contents, 1)]


def prepared(out: Path, rows: Iterable[SourceRow], **settings: Any) -> Prepared:
    """The result of prepare_pairs on rows, in the folder `out`."""
    out.mkdir(exist_ok=True)
    counts = prepare_pairs(out, rows, "dataset.path=rows.jsonl", **(SETTINGS | settings))
    pairs = pq.read_table(out / "pairs.parquet").to_pylist()
    return Prepared(counts, pairs, read_jsonl(out / "refused.jsonl"))


def write_lines(path: Path, contents: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(content) + "\n" for content in contents))
    return path


def file_node(path: Any, **settings: Any) -> dict[str, Any]:
    """A dataset node for the user's own files."""
    paths = [str(p) for p in path] if isinstance(path, list) else str(path)
    return {"_target_": "apm_exp.data.sources.jsonl.jsonl", "path": paths, **SETTINGS, **settings}
