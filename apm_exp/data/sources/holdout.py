"""The hold-out, by prompt: all pairs of a prompt are on the same side of the split."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from apm_exp.core.digest import canonical, text_digest
from apm_exp.core.ranges import Holdout
from apm_exp.core.types import Message

AUTO, USUAL = "auto", 0.05


def share_held_out(until: str | None, split: str | None, *, holdout: Holdout = "auto") -> float:
    """Return the share of the prompts that is held out.

    auto is 0 if a split of the data set has the held-out pairs, or if until=selection ends the run before any
    evaluation; else 0.05.
    """
    if holdout != AUTO:
        return float(holdout)
    return 0.0 if until == "selection" or split else USUAL


def holdout_of(dataset: Mapping[str, Any], until: str | None) -> float:
    """Return the share of the prompts that a dataset node holds out."""
    return share_held_out(until, dataset.get("holdout_split"), holdout=dataset.get("holdout", AUTO))


def prompt_order(prompt: Sequence[Message], seed: int) -> str:
    """Return a sha256 that sorts prompts in a random order, which depends only on the prompts and the seed."""
    return text_digest(f"{seed} {canonical(list(prompt))}")


def ranks(orders: Iterable[str]) -> dict[str, int]:
    """Return the place of each prompt, given by its `prompt_order`, in the order in which prompts are held out."""
    return {order: rank for rank, order in enumerate(sorted(set(orders)))}
