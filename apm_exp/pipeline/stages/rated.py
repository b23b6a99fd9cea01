"""Stage: rated responses, by prompt."""

import logging
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from apm_exp.core import component
from apm_exp.core.digest import canonical, text_digest
from apm_exp.core.files import write_jsonl, write_parquet
from apm_exp.core.messages import MESSAGES, stored
from apm_exp.data.sources.drawn import drawn
from apm_exp.data.sources.rows import BadRow, SourceRow, bad_row_of
from apm_exp.pipeline.work import Counts

VERSION = 1
logger = logging.getLogger(__name__)
_SCHEMA = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("prompt", MESSAGES),
        ("tools", pa.string()),
        ("responses", pa.list_(pa.string())),
        ("ratings", pa.list_(pa.float64())),
    ]
)


def rated(out: Path, *, dataset: dict[str, Any], drawing: dict[str, Any], on_bad_row: str) -> dict[str, int]:
    """Write generations.parquet, one row per prompt with its responses and ratings, and refused.jsonl.

    The table has the columns that a reward source reads, so the responses are rewarded as sampled ones are. drawing:
    limit, skip and draw_seed (`drawn`). Raises ValueError if no row is usable, or if a row is refused and on_bad_row is
    "error".
    """
    from apm_exp.data.sources.preflight import where_of

    prompts: dict[str, dict[str, Any]] = {}
    refused, number = [], 0
    for row in drawn(component.bind("dataset", dataset), **drawing):
        number += 1
        try:
            _add(prompts, row, dataset["rating"])
        except BadRow as bad:
            refused.append({"source": row.source, "reason": bad.reason, "detail": bad.detail})
    write_jsonl(refused, out / "refused.jsonl")
    _judge(refused, number, where_of(dataset), on_bad_row, out / "refused.jsonl")
    write_parquet(pa.Table.from_pylist(list(prompts.values()), _SCHEMA), out / "generations.parquet")
    return {"rows": number, "prompts": len(prompts), "responses": number - len(refused), "refused": len(refused)}


def _add(prompts: dict[str, dict[str, Any]], row: SourceRow, column: str) -> None:
    """Add a row to its prompt. Raises BadRow."""
    from apm_exp.data.sources.conversation import prompt_of

    if row.row is None:
        raise bad_row_of(str(row.problem))
    response, rating = row.row.get("response"), row.row.get(column)
    if not isinstance(response, str) or not response:
        raise BadRow("no response", "response must be a text that is not empty")
    if not isinstance(rating, int | float) or isinstance(rating, bool) or not math.isfinite(rating):
        raise BadRow("no rating", f"{column} is {rating!r}, not a finite number; name its column with dataset.rating=")
    messages = prompt_of(row.row)
    name = text_digest(canonical(messages))[:16]
    new = {"prompt_id": name, "prompt": stored(messages), "tools": None, "responses": [], "ratings": []}
    prompt = prompts.setdefault(name, new)
    prompt["responses"].append(response)
    prompt["ratings"].append(float(rating))


def _judge(refused: list[dict[str, Any]], number: int, where: str, on_bad_row: str, listed: Path) -> None:
    if not number:
        raise ValueError(f"{where}: has no rows")
    if not refused:
        return
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in Counter(e["reason"] for e in refused).most_common())
    summary = f"{len(refused):,} of {number:,} rows refused ({reasons}); the first: {refused[0]['detail']}"
    if on_bad_row == "error" or len(refused) == number:
        raise ValueError(f"{where}: {summary}; all are listed in {listed}")
    logger.warning("%s: %s, listed in %s", where, summary, listed)


def bounds(inputs: Mapping[str, Any], _known: Mapping[str, Counts]) -> Counts:
    """Return the maximum number of prompts and of responses: one per row."""
    from apm_exp.data.sources.count import count_rows

    rows = count_rows({**inputs["dataset"], **inputs["drawing"]})
    return {} if rows is None else {"prompts": rows, "responses": rows}
