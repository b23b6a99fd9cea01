"""The refused rows of a stage: counts by reason, and the first rows of refused.jsonl."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apm_exp.core.artifact import Artifact
from apm_exp.core.files import read_jsonl
from apm_exp.core.step_names import kind_of
from apm_exp.report.run.examples import shortened

FIRST_ROWS = 5
LONGEST_DETAIL = 200


def refused_by_step(steps: Mapping[str, Artifact], titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the refusals of each step, with its name beside the title of its stage if several steps are of that stage.

    steps: the artifacts of a run by the names of the steps. titles: of the stages by kind.
    """
    listed = {name: step for name, step in steps.items() if (step.path / "refused.jsonl").is_file()}
    kinds = Counter(map(kind_of, listed))
    words = {name: titles[kind_of(name)] + (f" ({name})" if kinds[kind_of(name)] > 1 else "") for name in listed}
    return [{"name": words[name], "counts": step.counts} | refusals(step.path) for name, step in listed.items()]


def refusals(folder: Path) -> dict[str, Any]:
    """Return, for `folder`/refused.jsonl, the total, (reason, count) by decreasing count, and the first rows,
    shortened.
    """
    rows = read_jsonl(folder / "refused.jsonl")
    counts = Counter(str(row["reason"]) for row in rows)
    return {
        "total": len(rows),
        "reasons": sorted(counts.items(), key=lambda item: (-item[1], item[0])),
        "first": [_first(row) for row in rows[:FIRST_ROWS]],
    }


def _first(row: dict[str, Any]) -> dict[str, str]:
    source = row.get("source") or row.get("pair_id") or ""
    detail = " ".join(str(row.get("detail") or "").split())
    return {"where": str(source), "reason": str(row["reason"]), "detail": shortened(detail, LONGEST_DETAIL)}
