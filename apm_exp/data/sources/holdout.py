"""The held-out split, by prompt: all pairs of a prompt are in the same split."""

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from apm_exp.core.digest import canonical, text_digest
from apm_exp.core.types import Message

AUTO, USUAL = "auto", 0.05


def with_holdout(dataset: Mapping[str, Any], until: str | None) -> dict[str, Any]:
    """Return a dataset node with a number in place of holdout=auto.

    It is 0 if `holdout_split` names the held-out pairs, or if until=selection ends the run before any evaluation; else
    0.05.
    """
    if dataset["holdout"] != AUTO:
        return dict(dataset)
    none = until == "selection" or dataset.get("holdout_split")
    return {**dataset, "holdout": 0.0 if none else USUAL}


def prompt_order(prompt: Sequence[Message], seed: int) -> str:
    """Return a sha256 that sorts prompts in a random order, which depends only on the prompts and the seed."""
    return text_digest(f"{seed} {canonical(list(prompt))}")


def held_out(orders: Iterable[str], fraction: float) -> set[str]:
    """Return the held-out prompts, given by their `prompt_order` (repeats count once).

    Exactly `fraction` of them are held out, rounded half up in rational arithmetic (0.29 of 100 is 29), but at least
    one if the fraction is above 0, and never all.
    """
    prompts = sorted(set(orders))
    return set(prompts[: number_held_out(len(prompts), fraction)])


def number_held_out(prompts: int, fraction: float) -> int:
    """Return how many of so many prompts are held out."""
    wanted = math.floor(Fraction(str(fraction)) * prompts + Fraction(1, 2))
    least = 1 if fraction > 0 else 0
    return max(0, min(max(wanted, least), prompts - 1))
