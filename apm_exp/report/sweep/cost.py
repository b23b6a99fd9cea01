"""The cost of a sweep: forwards, tokens, and the seconds of its steps, built or reused."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from omegaconf import OmegaConf

from apm_exp.core.step_names import kind_of, of_kind
from apm_exp.report.compare.arms import Arm, Job, steps_of

Context = dict[str, Any]
Step = Mapping[str, Any]


def cost(root: Path, arms: list[Arm], jobs: list[dict[str, Any]]) -> Context | None:
    """Return a table of arms by kinds of steps, a table of the steps by name, and the seconds of all jobs.

    The seconds are those that were spent, and those without sharing. None if no job is finished.
    """
    everything = [(name, step) for job in jobs for name, step in steps_of(job).items()]
    if not everything:
        return None
    kinds = list(dict.fromkeys(kind_of(name) for name, _ in everything))
    return {
        "kinds": kinds,
        "rows": [_row(root, arm, kinds) for arm in arms],
        "names": [_name_row(name, everything) for name in dict.fromkeys(name for name, _ in everything)],
        "spent": _spent(step for _, step in everything),
        "once": _once(step for _, step in everything),
        "apart": sum(step["seconds"] for _, step in everything),
        "made": sum(not step["reused"] for _, step in everything),
        "reused": sum(step["reused"] for _, step in everything),
    }


def _name_row(name: str, everything: Iterable[tuple[str, Step]]) -> Context:
    """Return the row of a step of all jobs. made: the number of jobs that built it. there: of those that reused it."""
    steps = [step for other, step in everything if other == name]
    made = sum(not step["reused"] for step in steps)
    return {"name": name, "made": made, "there": len(steps) - made, "spent": _spent(steps), "once": _once(steps)}


def _spent(steps: Iterable[Step]) -> float:
    return sum(step["seconds"] for step in steps if not step["reused"])


def _once(steps: Iterable[Step]) -> float:
    return sum({step["key"]: step["seconds"] for step in steps}.values())


def _row(root: Path, arm: Arm, kinds: list[str]) -> Context:
    finished = [job for job in arm.jobs if steps_of(job)]
    return {
        "label": arm.label,
        "jobs": len(arm.jobs),
        "scored": _count(finished, "logps", "pairs"),
        "scored_tokens": _count(finished, "logps", "tokens"),
        "trained": _trained(root, finished),
        "cells": [_cell(step for job in finished for step in of_kind(steps_of(job), kind).values()) for kind in kinds],
        "total": _spent(step for job in finished for step in steps_of(job).values()),
    }


def _cell(steps: Iterable[Step]) -> Context:
    """Return the cost of an arm's steps.

    made: seconds that the arm's own jobs spent, None if everything was reused. there: seconds of what was reused.
    """
    steps = list(steps)
    made = {step["key"]: step["seconds"] for step in steps if not step["reused"]}
    there = {step["key"]: step["seconds"] for step in steps if step["key"] not in made}
    return {"made": sum(made.values()) if made else None, "there": sum(there.values()) if there else None}


def _count(jobs: list[Job], kind: str, count: str) -> int | None:
    """Return the sum of a count over the distinct steps of a kind; None if there is none, or one lacks the count."""
    steps = {step["key"]: step for job in jobs for step in of_kind(steps_of(job), kind).values()}
    counts = [step["counts"].get(count) for step in steps.values()]
    return None if not counts or None in counts else sum(counts)


def _trained(root: Path, jobs: list[Job]) -> tuple[int, int] | None:
    """Return the number of pairs and response tokens in all trainings, including repetitions; None if unknown."""
    policies = {step["key"]: (job, step) for job in jobs for step in of_kind(steps_of(job), "policy").values()}
    totals = []
    for job, policy in policies.values():
        seen = _pairs_seen(root / policy["folder"] / "metrics.jsonl")
        kept, tokens = _kept_tokens(root, job, policy)
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


def _kept_tokens(root: Path, job: Job, policy: Step) -> tuple[int, int]:
    """Return the number of pairs of a training and the tokens of their responses; zeros if files are missing."""
    folders = {step["key"]: root / step["folder"] for step in steps_of(job).values()}
    try:
        parts = OmegaConf.load(root / policy["folder"] / "inputs.yaml").inputs.parts
        kept = [
            _kept_of(*(folders[part[kind].artifact] / f"{kind}.parquet" for kind in ("selection", "logps")))
            for part in parts
        ]
    except (OSError, ValueError, AttributeError, KeyError):
        return 0, 0
    return sum(pairs for pairs, _ in kept), sum(tokens for _, tokens in kept)


def _kept_of(selection: Path, logps: Path) -> tuple[int, int]:
    chosen = pq.read_table(selection, columns=["pair_id"], filters=pc.field("kept"))["pair_id"]
    table = pq.read_table(logps, columns=["pair_id", "chosen_len", "rejected_len"])
    rows = table.filter(pc.is_in(table["pair_id"], value_set=chosen.combine_chunks()))
    return len(rows), sum(pc.sum(rows[name]).as_py() or 0 for name in ("chosen_len", "rejected_len"))
