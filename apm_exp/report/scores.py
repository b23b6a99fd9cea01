"""Evaluation scores in words, always with standard error, interval and n."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STARTING = "starting_"
_RANKS = "A better policy may still score lower here: these responses are given, often the starting policy's own."
_SHARES = {"share", "fraction", "probability", "proportion", "rate"}


Records = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Score:
    """A score as text, with every number rounded to two significant digits of its standard error."""

    name: str
    value: str
    standard_error: str
    interval: str
    n: str
    unit: str


@dataclass(frozen=True)
class Result:
    """A score of the trained policy, that of the starting policy if there is one, and the name of the evaluation."""

    evaluation: str
    score: Score
    starting: Score | None
    note: str


def read_scores(evaluations: Mapping[str, Path]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return scores.json of each evaluation's folder: evaluation -> score name -> record."""
    return {name: json.loads((folder / "scores.json").read_text()) for name, folder in evaluations.items()}


def decimals(standard_error: float | None) -> int:
    """Return how many decimals show two significant digits of a standard error; 3 if it is missing or only rounding."""
    if not standard_error or not math.isfinite(standard_error) or abs(standard_error) < 1e-9:
        return 3
    return max(0, 1 - math.floor(math.log10(abs(standard_error))))


def is_share(unit: str | None) -> bool:
    """Return whether a unit is a share, which is shown as a percentage."""
    return unit in _SHARES


def minus(text: str) -> str:
    """Return a number's text with a true minus sign."""
    return text.replace("-", "\N{MINUS SIGN}")


def in_words(name: str, record: Mapping[str, Any]) -> Score:
    """Return a score's record as text; shares are shown as percentages."""
    share = is_share(record.get("unit"))
    scale, sign = (100.0, "%") if share else (1.0, "")
    error = record.get("standard_error")
    places = decimals(None if error is None else error * scale)
    low, high = (f"{bound * scale:,.{places}f}{sign}" for bound in record["interval"])
    return Score(
        name=name.replace("_", " "),
        value=minus(f"{record['value'] * scale:,.{places}f}{sign}"),
        standard_error="" if error is None else f"{error * scale:,.{places}f}",
        interval=minus(f"{low} to {high}"),
        n=items_of(record["n"], record.get("prompts")),
        unit="%" if share else str(record.get("unit") or ""),
    )


def brief(name: str, records: Records, level: str = "95%") -> str:
    """Return a score in one clause of plain characters, with its interval and what it is to be compared with.

    level: of the interval, which is only said if it is not the usual one.
    """
    score = in_words(name, records[name])
    interval = score.interval.replace("%", "")
    unit = f" {score.unit}" if score.unit not in ("%", "", score.name) else ""
    usual = "" if level == "95%" else f"{level} interval " if level else "interval "
    words = f"{score.name} {score.value}{unit} ({usual}{interval})"
    if "win_rate" in name:
        words += " against the starting policy"
    elif STARTING + name in records:
        words += f", starting policy {in_words(STARTING + name, records[STARTING + name]).value}"
    elif name in ("reward_accuracy", "reward_spearman"):
        words += f", n = {score.n}"
    return words.replace("\N{MINUS SIGN}", "-")


def items_of(n: int, prompts: int | None) -> str:
    """Return the number of items, with the number of their prompts if it differs."""
    return f"{n:,}" if prompts in (None, n) else f"{n:,} of {prompts:,} prompts"


def results(evaluation: str, records: Records) -> list[Result]:
    """Return an evaluation's scores in the order of its file, paired with the starting policy's of the same name."""
    beside = {STARTING + name for name in records}
    return [_result(evaluation, name, records) for name in records if name not in beside]


def _result(evaluation: str, name: str, records: Records) -> Result:
    start = records.get(STARTING + name)
    starting = in_words(STARTING + name, start) if start else None
    return Result(evaluation, in_words(name, records[name]), starting, _note(name))


def _note(name: str) -> str:
    """Return a note that explains a headline score."""
    if name == "held_out_accuracy":
        return _RANKS
    return "50% is the starting policy against itself." if "win_rate" in name else ""


def headline_name(records: Records) -> str:
    """Return the first score that is not one of the starting policy."""
    return next((name for name in records if not name.startswith(STARTING)), next(iter(records)))


def interval_level(evaluation: Mapping[str, Any]) -> str:
    """Return the confidence level of an evaluation's intervals, such as `95%`, or "" if its node has none.

    An evaluation of several nodes has it in its node `score`.
    """
    confidence = evaluation.get("score", evaluation).get("confidence")
    return "" if confidence is None else f"{100 * confidence:g}%"
