"""Stage: the prompts of a data set, without duplicates."""

import logging
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.core.files import write_jsonl, write_parquet
from apm_exp.core.messages import MESSAGES, stored, stored_tools
from apm_exp.core.sorted_parquet import rows_of_split
from apm_exp.core.split import held_out_split
from apm_exp.core.told import ask, told
from apm_exp.data.sources.drawn import drawn
from apm_exp.data.sources.holdout import USUAL
from apm_exp.pipeline.step import Step

VERSION = 3  # 3: refused.jsonl has the texts of refused evolved prompts
_TEXTS = ("tools", "source", "parent_id", "strategy")
SCHEMA = pa.schema([("prompt_id", pa.string()), ("prompt", MESSAGES), *((name, pa.string()) for name in _TEXTS)])
logger = logging.getLogger(__name__)
Counts = Mapping[str, int | float]


def prompts(
    out: Path,
    *,
    dataset: dict[str, Any],
    limit: int | None,
    skip: int,
    draw_seed: int | None,
    on_bad_row: str,
    given: Mapping[str, Artifact] | None = None,
    seeds: Artifact | None = None,
) -> dict[str, int]:
    """Write prompts.parquet, in the order of the data set, and refused.jsonl, and return the counts of rows.

    dataset: the component that yields the rows. limit, skip, draw_seed: which of them are used (`drawn`). A row is a
    prompt, or a pair whose prompt is used. given: the arguments for its positional parameters (see
    `evaluate.inputs_of`). seeds: prompts that are refused as duplicates. parent_id and strategy are those of evolved
    prompts, else null. Raises ValueError if there are no rows, if no prompt is left, or if a row is refused and
    on_bad_row is "error".
    """
    from apm_exp.data.generate.prompts import read_prompts
    from apm_exp.data.sources.preflight import where_of

    read = partial(component.bind("dataset", dataset), **(given or {}))
    result = read_prompts(drawn(read, limit=limit, skip=skip, draw_seed=draw_seed), seeds, of_steps=given is not None)
    write_jsonl(result.refused, out / "refused.jsonl")
    where = where_of(dataset) if given is None else component.name_of(dataset)
    if not result.rows:
        after = f" after dataset.skip={skip}" if skip else ""
        raise ValueError(f"{where}: has no rows{after}")
    _check_refused(result.refused, result.rows, where, on_bad_row, out / "refused.jsonl")
    table = [
        {
            "prompt_id": prompt.prompt_id,
            "prompt": stored(prompt.messages),
            "tools": stored_tools(prompt.tools),
            "source": prompt.source,
            "parent_id": prompt.parent_id,
            "strategy": prompt.strategy,
        }
        for prompt in result.accepted
    ]
    write_parquet(pa.Table.from_pylist(table, SCHEMA), out / "prompts.parquet")
    return {"rows": result.rows, "prompts": len(table), "refused": len(result.refused)}


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
        remedy = "" if where.startswith("dataset") else "; use another evolve= or model="
        raise ValueError(f"{where}: none of {rows:,} rows has a usable prompt ({summary}); see {listed}{remedy}")
    logger.warning("%s: %d of %d rows were refused (%s); see %s", where, len(refused), rows, summary, listed)


def bounds(inputs: Mapping[str, Any], known: Mapping[str, Counts]) -> Counts:
    """Return the maximum number of prompts, if it is known before the rows are read."""
    from apm_exp.data.sources.count import count_rows

    dataset = inputs["dataset"]
    if told("dataset", dataset, "rows_from") is None:
        rows = count_rows(dataset | {name: inputs[name] for name in ("limit", "skip")})
    else:
        steps = {name: each for name, each in inputs["given"].items() if isinstance(each, Step)}
        rows = ask("dataset", dataset, "rows_from", {name: known.get(each.key, {}) for name, each in steps.items()})
    return {} if rows is None else {"rows": rows, "prompts": rows}


def foresee(inputs: Mapping[str, Any], built: Mapping[str, Artifact]) -> None:
    """Raise ValueError if no row is left after `skip`, or if the prompts are those of held-out pairs and fewer than two
    pairs are held out.
    """
    if inputs["skip"] and bounds(inputs, {}).get("rows") == 0:
        from apm_exp.data.sources.count import count_rows

        rows = count_rows({**inputs["dataset"], "limit": None})
        raise ValueError(
            f"dataset.skip={inputs['skip']}: the data set has only {rows:,} rows; skip fewer, or give more rows"
        )
    pairs = inputs.get("given", {}).get("pairs")
    if pairs is None or "holdout" not in inputs["given"]:
        return
    holdout, known = inputs["given"]["holdout"], None
    if pairs.key in built:
        artifact = built[pairs.key]
        known = rows_of_split(artifact.path / "pairs.parquet", held_out_split(artifact, holdout))
    elif not holdout and not pairs.inputs["dataset"].get("holdout_split"):
        known = 0
    if known is not None and known < 2:
        setting, name = f"dataset.holdout={holdout:g}", component.name_of(inputs["dataset"])
        problem = f"{name} asks for prompts of held-out pairs, of which there are {known}"
        raise ValueError(f"{setting}: {problem}; give dataset.holdout={USUAL:g} or more, or another evals=")
