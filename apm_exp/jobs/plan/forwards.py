"""How much goes through a model in each step of a job: exact where it can be counted, else an upper bound."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.jobs.plan.memory.longest import longest_possible
from apm_exp.pipeline.step import Step, read_done

Counts = Mapping[str, int | float]
_PARTS = ("prompt_ids", "chosen_ids", "rejected_ids")


@dataclass(frozen=True)
class Work:
    """forwards: of one pair (its prompt once, with both answers) or one sampled response. tokens: None is unknown."""

    forwards: int
    tokens: int | None
    exact: bool


def model_work(
    name: str, steps: Mapping[str, Step], known: Mapping[str, Counts], config: Mapping[str, Any]
) -> Work | None:
    """What a step puts through a model, or None where it has none or nothing is known.

    known: the counts of the steps, exact or upper bounds. A training step's forwards each have a backward pass.
    """
    if name == "generations":
        return _sampled(known.get(name, {}).get("responses"), config["generate"]["max_new_tokens"])
    if name.startswith("evaluation_"):
        return _evaluated(config["evals"][name.removeprefix("evaluation_")], steps, config)
    if name == "logps":
        return _scored(steps, known, config)
    return _trained(steps, known, config) if name == "policy" else None


def _sampled(responses: float | None, most_tokens: int) -> Work | None:
    return None if responses is None else Work(int(responses), int(responses) * most_tokens, exact=False)


def _scored(steps: Mapping[str, Step], known: Mapping[str, Counts], config: Mapping[str, Any]) -> Work | None:
    if (done := read_done(steps["logps"])) is not None:
        return Work(int(done.counts["pairs"]), int(done.counts["tokens"]), exact=True)
    pairs = known["logps"].get("pairs")
    return None if pairs is None else Work(int(pairs), int(pairs) * _most(config), exact=False)


def _trained(steps: Mapping[str, Step], known: Mapping[str, Counts], config: Mapping[str, Any]) -> Work | None:
    pairs = known["policy"].get("pairs")
    if pairs is None:
        return None
    epochs = config["trainer"]["epochs"]
    logps, selection = read_done(steps["logps"]), read_done(steps["selection"])
    forwards = ceil(pairs * epochs)
    if logps is None:
        return Work(forwards, forwards * _most(config), exact=False)
    if selection is None:
        longest = np.sort(_tokens_P(logps.path, "train"))[::-1][: int(pairs)]
        return Work(forwards, ceil(longest.sum() * epochs), exact=False)
    return Work(forwards, ceil(_kept_tokens(logps.path, selection.path) * epochs), exact=True)


def _evaluated(evaluation: Mapping[str, Any], steps: Mapping[str, Step], config: Mapping[str, Any]) -> Work | None:
    if {"prompts", "samples", "max_new_tokens"} <= evaluation.keys():
        both = 2  # the policy and the starting policy answer
        return _sampled(both * evaluation["prompts"] * evaluation["samples"], evaluation["max_new_tokens"])
    logps = read_done(steps["logps"])
    if not evaluation["_target_"].endswith("held_out_pairs") or logps is None:
        return None
    tokens_P = _tokens_P(logps.path, "held_out")
    return Work(len(tokens_P), int(tokens_P.sum()), exact=True)


def _most(config: Mapping[str, Any]) -> int:
    """The most tokens of a pair."""
    ((prompt, chosen, rejected),) = longest_possible(config["tokens"], config["generate"])
    return prompt + chosen + rejected


@lru_cache(maxsize=8)
def _tokens_P(logps: Path, split: str) -> np.ndarray:
    """The tokens of each pair of a split, prompt once."""
    table = pq.read_table(logps / "logps.parquet", columns=["split", *_PARTS])
    total = sum(pc.list_value_length(table[part]).to_numpy().astype(np.int64) for part in _PARTS)
    return np.asarray(total)[pc.equal(table["split"], split).to_numpy(zero_copy_only=False)]


def _kept_tokens(logps: Path, selection: Path) -> int:
    chosen = pq.read_table(selection / "selection.parquet", columns=["pair_id", "kept"])
    kept = chosen.filter(chosen["kept"])["pair_id"].combine_chunks()
    table = pq.read_table(logps / "logps.parquet", columns=["pair_id", *_PARTS])
    table = table.filter(pc.is_in(table["pair_id"], value_set=kept))
    return sum(pc.sum(pc.list_value_length(table[part])).as_py() or 0 for part in _PARTS)
