"""The verdict on a sweep: how each arm differs from the baseline arm, in a line each, and a table of the arms."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apm_exp.core.console import plain_table, table_lines
from apm_exp.core.sealed import Damaged, read_sealed, write_sealed
from apm_exp.report.render import seconds
from apm_exp.training.few_steps import FEWEST

_FILE = "verdict.json"
_MOST_ARMS = 8
Context = Mapping[str, Any]


def verdicts(comparisons: Sequence[Context], arms: Sequence[Context]) -> list[str]:
    """Return the lines on each headline score. comparisons, arms: of the page's context."""
    headlines = [one for one in comparisons if one["headline"]]
    lines = [line for place, one in enumerate(headlines) for line in _of_score(one, arms, place)]
    lines += _did_little(arms) if lines else []
    return lines or ["nothing to compare: no job finished with an evaluation"]


def _did_little(arms: Sequence[Context]) -> list[str]:
    """Return what is to be known of trainings with few optimizer steps: equal scores then say nothing."""
    steps = [number for arm in arms for number in arm["steps"]]
    fewest = min(steps, default=FEWEST)
    if fewest >= FEWEST:
        return []
    made = f"{fewest} optimizer step{'' if fewest == 1 else 's'}"
    problem = f"fewer than {FEWEST} change the policy little, so equal scores say nothing about the pairs"
    return [f"trainings of {made}: {problem}; take a smaller trainer.global_batch"]


def _of_score(one: Context, arms: Sequence[Context], place: int) -> list[str]:
    if one["problem"]:
        return [f"{one['title']}{_alone(arms, place)}: not compared, {one['problem']}"]
    rows = sorted(one["rows"], key=lambda row: row["noise"])  # stable: those that differ first
    lines = [f"{one['title']}: {row['verdict']}" for row in rows[:_MOST_ARMS]]
    others = len(rows) - _MOST_ARMS
    if others > 0:
        inside = sum(row["noise"] for row in rows[_MOST_ARMS:])
        lines.append(f"{one['title']}: {others} more arms in the report, {inside} of them inside the noise")
    return [*lines, *([one["caveat"]] if one["caveat"] else [])]


def _alone(arms: Sequence[Context], place: int) -> str:
    """Return the score of a sweep's only arm."""
    score = arms[0]["scores"][place] if len(arms) == 1 else None
    return f" {score['value']} ({score['interval']})".replace("\N{MINUS SIGN}", "-") if score else ""


def arms_table(arms: Sequence[Context], titles: Sequence[str]) -> list[str]:
    """Return the table of arms for the terminal: each headline score with its interval, seeds, pairs kept, time."""
    table = plain_table("arm", *titles, "seeds", "kept", "optimizer steps", "time")
    for arm in arms:
        numbers = [", ".join(f"{number:,}" for number in arm[name]) for name in ("kept", "steps")]
        table.add_row(arm["label"], *map(_score, arm["scores"]), str(arm["seeds"]), *numbers, seconds(arm["seconds"]))
    return table_lines(table)


def _score(score: Context | None) -> str:
    if score is None:
        return "-"
    return f"{score['value']} ({score['interval'].replace('%', '')})".replace("\N{MINUS SIGN}", "-")


def write_verdict(folder: Path, record: Context) -> None:
    """Write the verdict beside the sweep's page.

    record: `verdict` and `table`, as lines for the terminal; `arms` and `differences`, as rows of numbers.
    """
    write_sealed(record, folder / _FILE)


def read_verdict(folder: Path) -> dict[str, list[Any]] | None:
    """Return the record that `write_verdict` has written; None if it is not there or damaged."""
    try:
        return read_sealed(folder / _FILE, "verdict", "table")
    except (FileNotFoundError, Damaged):
        return None
