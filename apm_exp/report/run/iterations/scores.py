"""The scores of each iteration's policy."""

from collections.abc import Mapping
from typing import Any

from apm_exp.core.artifact import Artifact
from apm_exp.core.step_names import evaluations_of
from apm_exp.report.run.iterations.figures import Point, line_figure
from apm_exp.report.scores import STARTING, Records, headline_name, in_words, is_share, read_scores

Context = dict[str, Any]


def scores_by_iteration(steps: Mapping[str, Artifact], last: int) -> list[Context]:
    """Return a table for each evaluation, and a figure of its first score if two iterations have it.

    last: the last iteration, whose policy has the evaluations of the run.
    """
    tables = [_table(name, _records(name, steps, last)) for name in evaluations_of(steps)]
    return [table for table in tables if table["rows"]]


def _records(name: str, steps: Mapping[str, Artifact], last: int) -> dict[int, Records]:
    """Return the scores of an evaluation by iteration, without those that have none."""
    places = {f"{iteration}-{name}": iteration for iteration in range(1, last)} | {name: last}
    folders = {place: steps[f"evaluation.{place}"].path for place in places if f"evaluation.{place}" in steps}
    return {places[place]: records for place, records in read_scores(folders).items() if records}


def _table(name: str, by_iteration: Mapping[int, Records]) -> Context:
    every = [each for records in by_iteration.values() for each in records]
    names = list(dict.fromkeys(each for each in every if not each.startswith(STARTING)))
    starting = next(iter(by_iteration.values()), {})
    rows = [
        {"iteration": at, "cells": [_cell(each, records) for each in names]} for at, records in by_iteration.items()
    ]
    before = [_cell(STARTING + each, starting) for each in names]
    if any(before):
        rows.insert(0, {"iteration": "starting policy", "cells": before})
    titles = [each.replace("_", " ") for each in names]
    return {"name": name, "columns": titles, "rows": rows, **_figure(name, by_iteration)}


def _cell(score: str, records: Records) -> Context | None:
    if score not in records:
        return None
    words = in_words(score, records[score])
    return {"value": words.value, "standard_error": words.standard_error}


def _figure(name: str, by_iteration: Mapping[int, Records]) -> Context:
    """Return the figure of an evaluation's first score, and its title; None if fewer than two iterations have it.

    The starting policy is iteration 0; its win rate against itself is a half.
    """
    records = list(by_iteration.values())
    first = headline_name(records[0]) if records else ""
    points = [_point(at, each[first]) for at, each in by_iteration.items() if first in each]
    title = first.replace("_", " ")
    if len(points) < 2:
        return {"svg": None, "title": title, "has_start": False}
    start = [Point(0, 0.5)] if "win_rate" in first else []
    if STARTING + first in records[0]:
        start = [_point(0, records[0][STARTING + first])]
    lines, share = {name: [*start, *points]}, is_share(records[0][first].get("unit"))
    svg = line_figure(f"iterations-{name}", f"{title} over the iterations.", lines, share=share)
    return {"svg": svg, "title": title, "has_start": bool(start)}


def _point(iteration: int, record: Mapping[str, Any]) -> Point:
    low, high = record["interval"]
    return Point(iteration, float(record["value"]), (float(low), float(high)))
