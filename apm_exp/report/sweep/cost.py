"""The cost of a sweep: forwards, tokens, and the seconds of each step, built or reused."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.report.compare.arms import Arm, Job, steps_of

Context = dict[str, Any]


def cost(root: Path, arms: list[Arm], jobs: list[dict[str, Any]]) -> Context | None:
    """Return a table of arms, and the seconds of all jobs, spent and without sharing; None if no job is finished."""
    names = list(dict.fromkeys(name for job in jobs for name in steps_of(job)))
    if not names:
        return None
    everything = [step for job in jobs for step in steps_of(job).values()]
    once = {step["key"]: step["seconds"] for step in everything}
    return {
        "steps": [(name, name.removeprefix("evaluation_").replace("_", " ")) for name in names],
        "rows": [_row(root, arm, names) for arm in arms],
        "spent": sum(step["seconds"] for step in everything if not step["reused"]),
        "once": sum(once.values()),
        "apart": sum(step["seconds"] for step in everything),
        "made": sum(not step["reused"] for step in everything),
        "reused": sum(step["reused"] for step in everything),
    }


def _row(root: Path, arm: Arm, names: list[str]) -> Context:
    finished = [job for job in arm.jobs if steps_of(job)]
    return {
        "label": arm.label,
        "jobs": len(arm.jobs),
        "scored": _count(finished, "logps", "pairs"),
        "scored_tokens": _count(finished, "logps", "tokens"),
        "trained": _trained(root, finished),
        "cells": [_cell([steps_of(job)[name] for job in finished if name in steps_of(job)]) for name in names],
        "total": sum(step["seconds"] for job in finished for step in steps_of(job).values() if not step["reused"]),
    }


def _cell(steps: Iterable[Mapping[str, Any]]) -> Context:
    """Return the cost of an arm's steps.

    made: seconds that the arm's own jobs spent, None if everything was reused. there: seconds of what was reused.
    """
    steps = list(steps)
    made = {step["key"]: step["seconds"] for step in steps if not step["reused"]}
    there = {step["key"]: step["seconds"] for step in steps if step["key"] not in made}
    return {"made": sum(made.values()) if made else None, "there": sum(there.values()) if there else None}


def _distinct(jobs: Iterable[Job], name: str) -> list[Any]:
    """Return the distinct steps of a name."""
    return list({steps_of(job)[name]["key"]: steps_of(job)[name] for job in jobs if name in steps_of(job)}.values())


def _count(jobs: list[Job], name: str, count: str) -> int | None:
    counts = [step["counts"].get(count) for step in _distinct(jobs, name)]
    return None if not counts or None in counts else sum(counts)


def _trained(root: Path, jobs: list[Job]) -> tuple[int, int] | None:
    """Return the number of pairs and response tokens in training, including repetitions; None if unknown."""
    totals = []
    for job in {job["policy_key"]: job for job in jobs if job["policy_key"]}.values():
        seen = _pairs_seen(root / steps_of(job)["policy"]["folder"] / "metrics.jsonl")
        kept, tokens = _kept_tokens(root, job)
        if seen is None or not kept:
            return None
        totals.append((seen, round(tokens * seen / kept)))
    return (sum(pairs for pairs, _ in totals), sum(tokens for _, tokens in totals)) if totals else None


def _pairs_seen(log: Path) -> int | None:
    try:
        last = log.read_text(encoding="utf-8").rstrip().rpartition("\n")[2]
        return json.loads(last).get("pairs_seen")
    except (OSError, ValueError):
        return None


def _kept_tokens(root: Path, job: Job) -> tuple[int, int]:
    """Return the number of pairs that a job keeps and the tokens of their responses; zeros if the files are missing."""
    selection, logps = (root / steps_of(job)[name]["folder"] / f"{name}.parquet" for name in ("selection", "logps"))
    try:
        chosen = pq.read_table(selection, columns=["pair_id"], filters=pc.field("kept"))["pair_id"]
        table = pq.read_table(logps, columns=["pair_id", "chosen_len", "rejected_len"])
    except (OSError, ValueError):
        return 0, 0
    rows = table.filter(pc.is_in(table["pair_id"], value_set=chosen.combine_chunks()))
    return len(rows), sum(pc.sum(rows[name]).as_py() or 0 for name in ("chosen_len", "rejected_len"))
