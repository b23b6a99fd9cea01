"""Reward source: the weighted mean of other sources, each in its own standard deviations over the data set."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from apm_exp.core.component import name_of, nearest
from apm_exp.core.ranges import NotNegative
from apm_exp.core.told import ask
from apm_exp.selection.metrics.rescale import population_std

RELATIVE = True  # to the other responses that are rewarded with it: no judge of two policies
Rows = Sequence[list[float] | None]  # of each row, one number for each response
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TAKEN = ("all_rewards", "pair_id", "prompt_id", "chosen_reward", "rejected_reward", "responses")


def mixture(
    responses: pa.Table,
    source_rewards: Mapping[str, Rows],
    *,
    sources: dict[str, dict[str, Any]],
    weights: dict[str, NotNegative] | None,
) -> dict[str, Rows]:
    """Return the weighted mean of the sources' rewards as `all_rewards`, and what each adds to it by its name.

    Each source's rewards are standardized first: minus their mean, divided by their population standard deviation over
    all responses whose reward is known. A row without rewards from one of the sources has none. Raises ValueError for
    a source whose rewards are all equal.
    """
    weight = weights or dict.fromkeys(sources, 1.0)
    standard = {name: _standardized(name, source_rewards[name]) for name in sources}
    total = sum(weight.values())
    mixed: list[list[float] | None] = []
    for row in zip(*standard.values(), strict=True):
        known = [each for each in row if each is not None]
        parts = [[weight[name] * value for value in each] for name, each in zip(standard, known, strict=False)]
        mixed.append(None if len(known) < len(row) else [math.fsum(each) / total for each in zip(*parts, strict=True)])
    assert len(mixed) == len(responses)
    return {"all_rewards": mixed, **standard}


def sources_of(*, sources: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the nodes of the sources by name; each is a step of its own."""
    return sources


def check(*, sources: dict[str, dict[str, Any]], weights: dict[str, NotNegative] | None) -> None:
    """Raise ValueError for fewer than two sources, names that cannot be used, and weights that do not fit them."""
    if len(sources) < 2:
        shown = "{" + ", ".join(sources) + "}"
        remedy = "add others, such as +reward@reward.sources.flr=flr reward.sources.flr.path=FOLDER"
        raise ValueError(f"reward.sources={shown}: a mixture has at least two; {remedy}")
    for name, node in sources.items():
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise ValueError(f"reward.sources.{name}: not a name for a column; use other small letters, digits and _")
        if "_target_" not in node:
            remedy = f"add one: +reward@reward.sources.{name}=OPTION"
            raise ValueError(f"reward.sources.{name}: names no reward source; {remedy}")
        if ask(f"reward.sources.{name}", node, "within_rows"):
            problem = f"{name_of(node)} compares the responses of a prompt and has no rewards of single ones to mix"
            raise ValueError(f"reward.sources.{name}: {problem}; remove it: ~reward.sources.{name}")
    if weights is None:
        return
    for name in weights:
        if name not in sources:
            raise ValueError(f"reward.weights.{name}: no such source; {nearest(name, sources)}")
    if lacking := [name for name in sources if name not in weights]:
        remedy = "give a number for each source, or reward.weights=null for equal ones"
        raise ValueError(f"reward.weights: no weight for {', '.join(lacking)}; {remedy}")
    if not sum(weights.values()):
        raise ValueError("reward.weights: all are 0, so nothing is left; give at least one above 0")


def _standardized(name: str, rows: Rows) -> list[list[float] | None]:
    """Return rewards in standard deviations from their mean, over all that are known. Raises ValueError if equal."""
    every = np.array([value for row in rows for value in row or ()], np.float64)
    known = every[np.isfinite(every)]
    mean, sigma = (math.fsum(known) / known.size if known.size else 0.0), population_std(known)
    if sigma == 0:
        problem = f"all its {known.size} rewards are equal, so it tells no response from another"
        raise ValueError(f"reward.sources.{name}: {problem}; remove it: ~reward.sources.{name}")
    return [None if row is None else [(value - mean) / sigma for value in row] for row in rows]
