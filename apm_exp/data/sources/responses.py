"""The known responses of a row, the indices of chosen and rejected among them, and the recorded rewards."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

from apm_exp.data.sources.rows import BadRow
from apm_exp.data.sources.schemas import RESPONSES, SCORES, Columns

Rewards = list[float | None]


@dataclass(frozen=True)
class Responses:
    """The responses of one prompt, at least chosen and rejected.

    rewards: aligned with responses, in reward units; NaN if unknown (never for chosen and rejected); None if the source
    has no rewards.
    """

    responses: list[str]
    chosen_index: int
    rejected_index: int
    rewards: list[float] | None


def responses_of(row: Mapping[str, Any], columns: Columns, chosen: str, rejected: str) -> Responses:
    """Return the responses and rewards of a row.

    Rewards are omitted if that of chosen or rejected is missing. Raises BadRow: null, wrong type, length mismatch,
    chosen or rejected not among the responses, a reward that is not finite.
    """
    responses = _texts(row[RESPONSES]) if columns.has_responses else [chosen, rejected]
    scores = _scores(row.get(SCORES), len(responses)) if columns.has_scores else None
    indices = (0, 1)
    if columns.has_responses:
        indices = _index("chosen", chosen, responses, scores, max), _index("rejected", rejected, responses, scores, min)
    if columns.reward_pair is not None:
        scores = [None] * len(responses)
        for index, name in zip(indices, columns.reward_pair, strict=True):
            scores[index] = _reward(row.get(name), name)
    return Responses(responses, *indices, _known(scores, indices))


def _texts(responses: Any) -> list[str]:
    if responses is None:
        raise BadRow("null", f"{RESPONSES} is null")
    if not isinstance(responses, list) or not all(isinstance(text, str) for text in responses):
        raise BadRow("wrong type", f"{RESPONSES} is not a list of texts")
    return responses


def _scores(scores: Any, expected: int) -> Rewards | None:
    if scores is None:
        return None
    if not isinstance(scores, list):
        raise BadRow("wrong type", f"{SCORES} is of type {type(scores).__name__}, not a list of numbers")
    if len(scores) != expected:
        raise BadRow("length mismatch", f"{expected} responses and {len(scores)} scores")
    return [_reward(score, f"{SCORES}[{number}]") for number, score in enumerate(scores)]


def _reward(value: Any, name: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, Real | Decimal) or isinstance(value, bool):
        remedy = "; write it without quotes" if isinstance(value, str) else ""
        raise BadRow("wrong type", f"{name} is of type {type(value).__name__}, not a number{remedy}")
    try:
        reward = float(value)
    except OverflowError:
        reward = math.inf
    if not math.isfinite(reward):
        raise BadRow("non-finite reward", f"{name} is {reward}")
    return reward


def _index(name: str, text: str, responses: list[str], scores: Rewards | None, extreme: Callable[..., int]) -> int:
    """Return the index of chosen or rejected; among equal responses, the one with the highest or lowest score."""
    equal = [index for index, response in enumerate(responses) if response == text]
    if not equal:
        raise BadRow(f"{name} not among the responses", f"none of {len(responses)} in {RESPONSES} equals {name}")
    scored = [index for index in equal if scores and scores[index] is not None]
    return extreme(scored, key=lambda index: scores[index]) if scores and scored else equal[0]


def _known(scores: Rewards | None, indices: tuple[int, int]) -> list[float] | None:
    if scores is None or any(scores[index] is None for index in indices):
        return None
    return [math.nan if score is None else score for score in scores]
