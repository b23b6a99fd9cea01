"""The longest pairs that a training can meet: exact where they are tokenised, else the most that tokens allows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.jobs.plan.memory.training import Lengths
from apm_exp.pipeline.step import Step, read_done

_PARTS = ("prompt_ids", "chosen_ids", "rejected_ids")


def longest_pairs(steps: Mapping[str, Step], config: Mapping[str, Any], count: int) -> tuple[tuple[Lengths, ...], bool]:
    """The `count` longest pairs, longest first, and whether they are only a bound.

    Those that the selection keeps where it is there; else all that are for training; else one of the most tokens.
    """
    logps = read_done(steps["logps"])
    if logps is None:
        return longest_possible(config["tokens"], config["generate"]), True
    selection = read_done(steps["selection"])
    return _longest(logps.path, selection.path if selection else None, count), False


def longest_possible(tokens: Mapping[str, Any], generate: Mapping[str, Any] | None) -> tuple[Lengths, ...]:
    """A pair of as many tokens as can be. The prompt is there once, so a short one leaves room for more of the answers.

    Answers that are sampled here have at most as many tokens as are sampled, and an end.
    """
    most = int(tokens["max_length"])
    answer = min(most - 1, int(generate["max_new_tokens"]) + 1) if generate else most - 1
    prompt = min(most - answer, int(tokens.get("max_prompt_length", most)))
    return ((prompt, answer, answer),)


def shortest_possible() -> tuple[Lengths, ...]:
    """A pair of as few tokens as can be."""
    return ((1, 1, 1),)


def _longest(logps: Path, selection: Path | None, count: int) -> tuple[Lengths, ...]:
    table = pq.read_table(logps / "logps.parquet", columns=["pair_id", "split", *_PARTS])
    wanted = pc.equal(table["split"], "train")
    if selection is not None:
        chosen = pq.read_table(selection / "selection.parquet", columns=["pair_id", "kept"])
        wanted = pc.is_in(table["pair_id"], value_set=chosen.filter(chosen["kept"])["pair_id"].combine_chunks())
    lengths_P3 = np.stack([pc.list_value_length(table[part]).to_numpy() for part in _PARTS], 1)[wanted.to_numpy()]
    rows = lengths_P3[np.argsort(-lengths_P3.sum(1), kind="stable")[:count]]
    return tuple((int(prompt), int(chosen), int(rejected)) for prompt, chosen, rejected in rows)
