"""The numbers of each part of each iteration: its prompts, responses and pairs, and what was kept of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from apm_exp.core.artifact import Artifact
from apm_exp.core.step_names import iteration_of, of_kind, place_of

_WORDS = {"": "data set's prompts", "further": "further prompts", "evolved": "evolved prompts", "all": "all prompts"}
_WORDS |= {"to_evolve": "selected to evolve"}


@dataclass(frozen=True)
class Part:
    """The pairs of one part of an iteration, and the responses of which they were made; None if there is no such step.

    prompts: those that the policy was to respond to. truncated: responses without an end. pairs: with the held-out
    ones. ranked, kept: of the selection. reward, length: means over all responses, in reward units and tokens.
    explicit, implicit: mean signed margins of the ranked pairs, in reward units and nats per token; kept_explicit,
    kept_implicit: of the kept ones. cut: the lowest kept value of the metric.
    """

    iteration: int
    name: str
    ranked: int
    kept: int
    implicit: float
    kept_implicit: float
    cut: float
    explicit: float | None = None
    kept_explicit: float | None = None
    prompts: int | None = None
    responses: int | None = None
    truncated: int | None = None
    pairs: int | None = None
    reward: float | None = None
    length: float | None = None

    @property
    def share(self) -> float:
        """Return the share of the ranked pairs that were kept."""
        return self.kept / self.ranked


def parts_of(steps: Mapping[str, Artifact]) -> list[Part]:
    """Return the parts of a run's iterations in the order of its steps; none if it has no iterations."""
    places = [place for place in of_kind(steps, "selection") if iteration_of(f"selection.{place}") is not None]
    return [_part(place, steps) for place in places]


def words(part: str) -> str:
    """Return the name of a part in words."""
    return _WORDS.get(part, part.replace("_", " "))


def part_of(name: str) -> str:
    """Return the part in the name of an iteration's step: evolved for selection.2-evolved."""
    return place_of(name).partition("-")[2]


def _part(place: str, steps: Mapping[str, Artifact]) -> Part:
    name = f"selection.{place}"
    sampled, pairs = steps.get(f"generations.{place}"), steps.get(f"pairs.{place}")
    rewards = steps.get(f"rewards.{place}-responses")
    counts: dict[str, Any] = {}
    if sampled is not None:
        counts = {"prompts": sampled.counts["prompts"] + sampled.counts["refused"]}
        counts |= {"responses": sampled.counts["responses"], "truncated": sampled.counts["cut_off"]}
        counts["length"] = _mean_of_lists(sampled.path / "generations.parquet", "lengths")
    if pairs is not None:
        counts["pairs"] = pairs.counts["pairs"]
    if rewards is not None:
        counts["reward"] = _mean_of_lists(rewards.path / "rewards.parquet", "all_rewards")
    return Part(iteration_of(name) or 0, part_of(name), **_selected(steps[name]), **counts)


def _selected(selection: Artifact) -> dict[str, Any]:
    columns = ["explicit_margin", "implicit_margin", "value", "kept"]
    table = pq.read_table(selection.path / "selection.parquet", columns=columns)
    kept_P = table["kept"].to_numpy()
    means: dict[str, Any] = {"ranked": len(table), "kept": int(kept_P.sum())}
    means["cut"] = float(table["value"].to_numpy()[kept_P].min())
    for side in ("explicit", "implicit"):
        margin_P = table[f"{side}_margin"].to_numpy()
        if table[f"{side}_margin"].null_count < len(table):
            means |= {side: float(margin_P.mean()), f"kept_{side}": float(margin_P[kept_P].mean())}
    return means


def _mean_of_lists(path: Path, column: str) -> float | None:
    """Return the mean of all known numbers in a column of lists; None if none is known."""
    lists = pq.read_table(path, columns=[column])[column].combine_chunks()
    numbers = lists.flatten().drop_null().to_numpy().astype(float)
    known = numbers[np.isfinite(numbers)]
    return float(known.mean()) if len(known) else None
