"""Stage: the prompts of a data set, without duplicates."""

import logging
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.core.files import write_jsonl, write_parquet
from apm_exp.core.messages import MESSAGES, stored, stored_tools
from apm_exp.data.sources.holdout import USUAL

VERSION = 1
SCHEMA = pa.schema([("prompt_id", pa.string()), ("prompt", MESSAGES), ("tools", pa.string()), ("source", pa.string())])
logger = logging.getLogger(__name__)
Counts = Mapping[str, int | float]


def prompts(
    out: Path,
    *,
    dataset: dict[str, Any],
    limit: int | None,
    on_bad_row: str,
    given: Mapping[str, Artifact] | None = None,
) -> dict[str, int]:
    """Write prompts.parquet, in the order of the data set, and refused.jsonl, and return the counts of rows.

    dataset: the component that yields the rows, of which the first `limit` are read. A row is a prompt, or a pair whose
    prompt is used. given: the arguments for its positional parameters (see `evaluate.inputs_of`). Raises ValueError if
    there are no rows, if no prompt is left, or if a row is refused and on_bad_row is "error".
    """
    from apm_exp.data.generate.prompts import read_prompts
    from apm_exp.data.sources.preflight import where_of

    result = read_prompts(islice(component.bind("dataset", dataset)(**(given or {})), limit))
    write_jsonl(result.refused, out / "refused.jsonl")
    if not result.rows:
        raise ValueError(f"{where_of(dataset)}: has no rows")
    _check_refused(result.refused, result.rows, where_of(dataset), on_bad_row, out / "refused.jsonl")
    rows = [
        {
            "prompt_id": prompt.prompt_id,
            "prompt": stored(prompt.messages),
            "tools": stored_tools(prompt.tools),
            "source": prompt.source,
        }
        for prompt in result.accepted
    ]
    write_parquet(pa.Table.from_pylist(rows, SCHEMA), out / "prompts.parquet")
    return {"rows": result.rows, "prompts": len(rows), "refused": len(result.refused)}


def _check_refused(refused: list[dict[str, Any]], rows: int, where: str, on_bad_row: str, listed: Path) -> None:
    if not refused:
        return
    reasons = Counter(refusal["reason"] for refusal in refused)
    summary = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
    if on_bad_row == "error":
        first = refused[0]
        problem = f"{first['source']} {first['reason']} ({first['detail']})"
        remedy = "correct them or use dataset.on_bad_row=refuse"
        raise ValueError(f"dataset.on_bad_row=error: {len(refused)} of {rows} rows: {problem}; {remedy}")
    if len(refused) == rows:
        raise ValueError(f"{where}: none of {rows:,} rows has a usable prompt ({summary}); see {listed}")
    logger.warning("%s: %d of %d rows were refused (%s); see %s", where, len(refused), rows, summary, listed)


def bounds(inputs: Mapping[str, Any], _known: Mapping[str, Counts]) -> Counts:
    """Return the maximum number of prompts, if it is known before the rows are read."""
    from apm_exp.data.sources.count import count_rows

    rows = count_rows({**inputs["dataset"], "limit": inputs["limit"]})
    return {} if rows is None else {"rows": rows, "prompts": rows}


def foresee(inputs: Mapping[str, Any], built: Mapping[str, Artifact]) -> None:
    """Raise ValueError if the prompts are those of held-out pairs and fewer than two pairs are held out."""
    pairs = inputs.get("given", {}).get("pairs")
    if pairs is None:
        return
    node = pairs.inputs["dataset"]
    known = built[pairs.key].counts["held_out"] if pairs.key in built else None
    if known is None and not node["holdout"] and not node.get("holdout_split"):
        known = 0
    if known is not None and known < 2:
        setting, name = f"dataset.holdout={node['holdout']:g}", component.name_of(inputs["dataset"])
        problem = f"{name} asks for prompts of held-out pairs, of which there are {int(known)}"
        raise ValueError(f"{setting}: {problem}; give dataset.holdout={USUAL:g} or more, or another evals=")
