"""Signs of a collapsed policy: those recorded during training, and those in its responses in the evaluations."""

from collections.abc import Iterable, Mapping
from typing import Any

MOST_REPETITION = 0.2  # share above the starting policy's; docs/method.md explains the thresholds
LONGEST = 2.0  # times the starting policy's mean length, and the inverse

Record = Mapping[str, Any]


def training_signs(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the signs in metrics.jsonl, each with its optimizer step."""
    return [f"from optimizer step {row['step']}: {sign}" for row in rows for sign in row.get("collapse", [])]


def evaluation_signs(name: str, records: Mapping[str, Record]) -> list[str]:
    """Return the signs in an evaluation's scores, if they contain the repetition or the length of both policies."""
    return [f"{name}: {sign}" for sign in (_repetition(records), _length(records)) if sign]


def _both(records: Mapping[str, Record], score: str) -> tuple[float, float] | None:
    names = (score, f"starting_{score}")
    return (records[names[0]]["value"], records[names[1]]["value"]) if set(names) <= set(records) else None


def _repetition(records: Mapping[str, Record]) -> str | None:
    both = _both(records, "repetition")
    if both is None or both[0] - both[1] <= MOST_REPETITION:
        return None
    return f"{both[0]:.0%} of the runs of four words are repeated, {both[1]:.0%} in the starting policy's responses"


def _length(records: Mapping[str, Record]) -> str | None:
    both = _both(records, "length")
    if both is None or both[1] / LONGEST <= both[0] <= both[1] * LONGEST:
        return None
    return f"the responses are {both[0]:.1f} tokens long, the starting policy's {both[1]:.1f}"
