"""Evolved prompts: some beside the prompts that they were made from, and those that were refused, with counts."""

import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core.artifact import Artifact
from apm_exp.core.component import name_of
from apm_exp.core.files import read_jsonl
from apm_exp.core.messages import read_messages, text_of
from apm_exp.core.step_names import iteration_of, of_kind
from apm_exp.core.told import told
from apm_exp.report.run.examples import LONGEST_PROMPT, shortened
from apm_exp.report.run.iterations.parts import part_of
from apm_exp.report.run.refusals import LONGEST_DETAIL

SHOWN = 10
_BEGINNING = 20  # characters of a text by which a detail that repeats it is recognized
UNKNOWN = "unknown"  # strategy of prompts whose function names none
Context = dict[str, Any]
Row = dict[str, Any]


def evolved_prompts(steps: Mapping[str, Artifact], node: Mapping[str, Any], seed: int) -> Context | None:
    """Return the page's content on evolved prompts; None if the run has none.

    node: that of `evolve`. seed: of the random sample, in which strategies and reasons take turns.
    """
    if not (made := _of_part(steps, "evolved")):
        return None
    accepted = [row for name, step in made.items() for row in _accepted(name, step)]
    refused = [_refused(name, row) for name, step in made.items() for row in read_jsonl(step.path / "refused.jsonl")]
    shown, not_used = _turns(accepted, "strategy", seed), _turns(refused, "reason", seed)
    known = _prompts(steps, [row[name] for row in (*shown, *not_used) for name in ("parent_id", "prompt_id")])
    return {
        "rule": name_of(node) if told("evolve", node, "PROCEDURAL") else None,
        "shares": [_share(name, step) for name, step in made.items()],
        "counts": _counts(accepted, refused),
        "accepted": [row | known[row["prompt_id"]] | {"parent": known.get(row["parent_id"])} for row in shown],
        "refused": [row | {"parent": known.get(row["parent_id"])} for row in not_used],
    }


def _of_part(steps: Mapping[str, Artifact], part: str) -> dict[str, Artifact]:
    names = {f"prompts.{place}": step for place, step in of_kind(steps, "prompts").items()}
    return {name: step for name, step in names.items() if iteration_of(name) and part_of(name) == part}


def _accepted(name: str, step: Artifact) -> list[Row]:
    table = pq.read_table(step.path / "prompts.parquet", columns=["prompt_id", "parent_id", "strategy"])
    more = {"iteration": iteration_of(name)}
    return [row | more | {"strategy": row["strategy"] or UNKNOWN} for row in table.to_pylist()]


def _refused(name: str, row: Row) -> Row:
    text, detail = row.get("text"), str(row["detail"])
    repeats = text and repr(text[:_BEGINNING])[1:-1] in detail
    return {
        "iteration": iteration_of(name),
        "reason": row["reason"],
        "strategy": row.get("strategy") or UNKNOWN,
        "parent_id": row.get("parent_id"),
        "prompt_id": None,
        "detail": "" if repeats else shortened(detail, LONGEST_DETAIL),
        "text": None if text is None else shortened(text, LONGEST_PROMPT),
    }


def _share(name: str, step: Artifact) -> Context:
    rows = step.counts["rows"]
    return {"iteration": iteration_of(name), "accepted": step.counts["prompts"], "rows": rows}


def _counts(accepted: Iterable[Row], refused: Iterable[Row]) -> Context:
    """Return a table of outcomes by strategies, with totals; the first outcome is that of the accepted prompts."""
    cells = Counter((row.get("reason", ""), row["strategy"]) for row in (*accepted, *refused))
    strategies = list(dict.fromkeys(strategy for _, strategy in cells))
    totals: Counter[str] = Counter()
    for (reason, _), number in cells.items():
        totals[reason] += number
    reasons = sorted(totals, key=lambda reason: (reason != "", -totals[reason], reason))
    rows = [
        {"reason": reason, "cells": [cells[reason, each] for each in strategies], "total": totals[reason]}
        for reason in reasons
    ]
    return {"strategies": strategies, "rows": rows}


def _turns(rows: Iterable[Row], key: str, seed: int) -> list[Row]:
    """Return a random sample of SHOWN rows in which the values of a column take turns, ordered by these."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    stream = random.Random(f"{key} {seed}")
    drawn = [stream.sample(group, min(SHOWN, len(group))) for group in groups.values()]
    in_turn = sorted((place, number) for number, group in enumerate(drawn) for place in range(len(group)))
    return [drawn[number][place] for number, place in sorted((number, place) for place, number in in_turn[:SHOWN])]


def _prompts(steps: Mapping[str, Artifact], ids: Collection[str | None]) -> dict[str | None, Context]:
    """Return prompts of the run by their ids: their last turn, shortened, and the number of turns before it."""
    wanted = pc.field("prompt_id").isin([each for each in ids if each is not None])
    known: dict[str | None, Context] = {}
    for step in of_kind(steps, "prompts").values():
        table = pq.read_table(step.path / "prompts.parquet", columns=["prompt_id", "prompt"], filters=wanted)
        for row in table.to_pylist():
            text = shortened(text_of(read_messages(row["prompt"])[-1]), LONGEST_PROMPT)
            known[row["prompt_id"]] = {"text": text, "before": len(row["prompt"]) - 1}
    return known
