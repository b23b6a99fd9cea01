"""Read the verdict in a judge's reply, and turn the verdicts about a row into rewards."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from apm_exp.data.rewards.judge_questions import Form, Order

_VERDICTS = {"a": 1.0, "b": -1.0, "tie": 0.0, "c": 0.0}  # [[C]] is a tie in the prompts of MT-Bench


@dataclass(frozen=True)
class Reading:
    """The rules for reading replies.

    verdict: a pattern, of whose last match the first group counts, or all of it without one. thoughts: a pattern of the
    text that is skipped before, or None. lowest, highest: the range of scores.
    """

    form: Form
    verdict: str
    thoughts: str | None
    lowest: float
    highest: float


def read_verdict(reply: str, reading: Reading) -> float | None:
    """Return the score, or 1 if A is better, -1 if B is, and 0 for a tie; None if the reply has no such verdict."""
    spoken = reply if reading.thoughts is None else re.sub(reading.thoughts, "", reply, flags=re.DOTALL)
    matches = list(re.finditer(reading.verdict, spoken))
    if not matches:
        return None
    last = matches[-1]
    said = (last[1] if last.re.groups else last[0]) or ""
    return _score(said, reading) if reading.form == "score" else _VERDICTS.get(said.strip().lower())


def _score(said: str, reading: Reading) -> float | None:
    try:
        number = float(said)
    except ValueError:
        return None
    return number if reading.lowest <= number <= reading.highest else None


def rewards_of(form: Form, count: int, verdicts: Mapping[Order, float | None]) -> list[float] | None:
    """Return the rewards of a row's `count` responses from the verdicts; None if one of these is unknown.

    score: the scores. pairwise: C[i, j] is the verdict with i as A; the reward of i is the sum over j of
    (C[i, j] - C[j, i]) / 2, the mean of both orders, divided by the number of responses.
    """
    known = {order: verdict for order, verdict in verdicts.items() if verdict is not None}
    if len(known) < len(verdicts):
        return None
    if form == "score":
        return [known[(number,)] for number in range(count)]
    numbers = range(count)  # equal responses are not asked about and tied
    return [
        sum(known.get((i, j), 0.0) - known.get((j, i), 0.0) for j in numbers if j != i) / (2 * count) for i in numbers
    ]


def contradictions(verdicts: Mapping[Order, float | None]) -> int:
    """Return how many pairs of responses have another winner in each order."""
    return sum(i < j and value is not None and value == verdicts.get((j, i)) != 0 for (i, j), value in verdicts.items())
