"""The names of a run's steps: a kind, optionally followed by a dot and a place, such as selection.2-evolved."""

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def kind_of(name: str) -> str:
    """Return the kind of a step from its name."""
    return name.partition(".")[0]


def place_of(name: str) -> str:
    """Return the place in a step's name, which tells apart steps of one kind; "" if it has none."""
    return name.partition(".")[2]


def iteration_of(name: str) -> int | None:
    """Return the iteration in a step's name; None for a step outside of iterations."""
    first = place_of(name).partition("-")[0]
    return int(first) if first.isdecimal() else None


def evaluations_of(steps: Mapping[str, T]) -> dict[str, T]:
    """Return the evaluations of the last policy by their names; those of earlier iterations are left out."""
    return {
        name: step for name, step in of_kind(steps, "evaluation").items() if iteration_of(f"evaluation.{name}") is None
    }


def evaluation_of(name: str, steps: Mapping[str, T]) -> str | None:
    """Return the place of the evaluation that a step is part of; None if it is part of none."""
    place = place_of(name)
    return next((each for each in of_kind(steps, "evaluation") if f"{place}-".startswith(f"{each}-")), None)


def iteration_in(name: str, steps: Mapping[str, T], last: int) -> int:
    """Return the iteration in which a step is built; 0 for one that several share.

    last: the last iteration, in which the run's last policy is evaluated.
    """
    iteration = iteration_of(name)
    if iteration is None and evaluation_of(name, steps) is not None:
        shared = kind_of(name) == "prompts" or place_of(name).endswith("-starting")
        return 0 if shared else last
    return iteration or 0


def is_rewriting(name: str) -> bool:
    """Return whether a step has the requests to rewrite prompts, or the responses to them."""
    return place_of(name).endswith("-instructions")


def last_of(steps: Mapping[str, T], kind: str) -> T | None:
    """Return the last step of a kind, or None."""
    return next((step for name, step in reversed([*steps.items()]) if kind_of(name) == kind), None)


def of_kind(steps: Mapping[str, T], kind: str) -> dict[str, T]:
    """Return the steps of a kind by place."""
    return {place_of(name): step for name, step in steps.items() if kind_of(name) == kind}
