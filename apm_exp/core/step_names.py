"""The names of a run's steps: a kind, and after a point which step of that kind, as selection.2-evolved."""

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def kind_of(name: str) -> str:
    """Return the kind of the step of this name."""
    return name.partition(".")[0]


def place_of(name: str) -> str:
    """Return which of a run's steps of its kind it is; "" if it is the only one."""
    return name.partition(".")[2]


def iteration_of(name: str) -> int | None:
    """Return the iteration that the step of this name belongs to; None for a step outside of any."""
    first = place_of(name).partition("-")[0]
    return int(first) if first.isdecimal() else None


def last_of(steps: Mapping[str, T], kind: str) -> T | None:
    """Return the last step of a kind, or None."""
    return next((step for name, step in reversed([*steps.items()]) if kind_of(name) == kind), None)


def of_kind(steps: Mapping[str, T], kind: str) -> dict[str, T]:
    """Return the steps of a kind by their places."""
    return {place_of(name): step for name, step in steps.items() if kind_of(name) == kind}
