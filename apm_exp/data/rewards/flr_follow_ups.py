"""FLR's follow-ups by dimension, and how their values become rewards."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Literal

from apm_exp.core.component import nearest
from apm_exp.data.rewards.conversation_ids import in_rows

FollowUps = dict[str, dict[Literal["positive", "negative"], list[str]]]  # by dimension
Rewards = dict[str, list[list[float] | None]]  # by column: of each row, one number for each response
_SIDES = ("positive", "negative")


def check_follow_ups(dimensions: Sequence[str] | None, follow_ups: FollowUps) -> None:
    """Raise ValueError for an unknown or repeated dimension, and for follow-ups that are missing, empty or repeated."""
    if not follow_ups:
        remedy = "use those that ship: reward/follow_ups@reward.follow_ups=six_dimensions"
        raise ValueError(f"reward.follow_ups={{}}: no dimensions; {remedy}")
    if dimensions is not None:
        shown = f"reward.dimensions=[{','.join(dimensions)}]"
        if not dimensions:
            raise ValueError(f"{shown}: no dimension; choose from: {', '.join(follow_ups)}, or null for all")
        for name in dimensions:
            if name not in follow_ups:
                problem = f"{name} is not in reward.follow_ups"
                raise ValueError(f"{shown}: {problem}; {nearest(name, follow_ups)}")
        if len(set(dimensions)) < len(dimensions):
            raise ValueError(f"{shown}: a dimension is repeated; name each once")
    for name, sides in follow_ups.items():
        for side in _SIDES:
            _check_side(f"reward.follow_ups.{name}.{side}", sides.get(side))  # type: ignore[call-overload]


def _check_side(place: str, texts: Sequence[str] | None) -> None:
    if not texts:
        raise ValueError(f"{place}: no follow-ups; give at least one, or leave the dimension out")
    for text in texts:
        if not text or text != text.strip():
            raise ValueError(f"{place}: {text!r} is empty or has white space around it; correct it")
    if repeated := next((text for text in texts if list(texts).count(text) > 1), None):
        raise ValueError(f"{place}: {repeated!r} is repeated, which would count it twice; remove one")


def chosen_dimensions(dimensions: Sequence[str] | None, follow_ups: FollowUps) -> FollowUps:
    """Return the follow-ups of the dimensions of which the reward is the mean; of all if `dimensions` is None."""
    return {name: follow_ups[name] for name in (follow_ups if dimensions is None else dimensions)}


def texts_of(chosen: FollowUps) -> list[str]:
    """Return all follow-ups, each once."""
    return list(dict.fromkeys(text for sides in chosen.values() for texts in sides.values() for text in texts))


def combined(
    names: Sequence[Sequence[str] | None], values: Mapping[str, Sequence[float]], chosen: FollowUps
) -> Rewards:
    """Return the rewards of rows, whose conversations are given by name, None for a row without rewards.

    values: of each conversation by its name, one for each of `texts_of`. A dimension is the mean over its positive
    follow-ups minus the mean over its negative ones; `all_rewards` is the mean over the dimensions.
    """
    place = {text: index for index, text in enumerate(texts_of(chosen))}
    parts = {}
    for dimension, sides in chosen.items():
        up, down = ([place[text] for text in sides[side]] for side in _SIDES)  # type: ignore[index]
        parts[dimension] = {
            name: fmean(own[index] for index in up) - fmean(own[index] for index in down)
            for name, own in values.items()
        }
    whole = {name: fmean(part[name] for part in parts.values()) for name in values}
    return {column: in_rows(names, each) for column, each in {"all_rewards": whole, **parts}.items()}
