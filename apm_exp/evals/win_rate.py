"""Evaluation: how often is the policy's response better than the starting policy's, as a judge's rewards say?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from apm_exp.core.artifact import Artifact
from apm_exp.core.files import write_json, write_parquet
from apm_exp.core.messages import read_messages, text_of
from apm_exp.evals.estimate import mean
from apm_exp.evals.repetition import repetition

POLICIES = {"policy": "", "starting_policy": "starting_"}  # what the names of a policy's scores and columns start with


def win_rate(
    out: Path,
    responses: Mapping[str, Artifact],
    judgements: Mapping[str, Artifact],
    *,
    confidence: Annotated[float, Field(gt=0, lt=1)],
) -> None:
    """Write scores.json, and evaluation.parquet with every response and each score's outcome, one row per prompt.

    responses, judgements: of both policies to the same prompts, several times each and independently, and the rewards
    of these. win_rate: a prompt's share of wins (see `win_share`), averaged over prompts, which are what standard error
    and interval are taken over. Also true_reward (the judge's reward), length (tokens, with the end token), repetition
    (share of repeated runs of four words) and cut_off (share of responses without an end token) of both, and
    reward_gain (paired). Raises ValueError for a prompt to which a policy gave no response, or the judge no rewards.
    """
    columns: dict[str, Any] = {}
    for policy, prefix in POLICIES.items():
        columns |= _columns(prefix, responses[policy], judgements[policy], columns.get("prompt"))
    columns["win_rate"] = [
        win_share(*pair) for pair in zip(*(columns[f"{name}true_rewards"] for name in POLICIES.values()), strict=True)
    ]
    write_parquet(pa.table(columns | outcomes(columns)), out / "evaluation.parquet")
    write_json(scores(columns, confidence), out / "scores.json")


def _columns(prefix: str, responses: Artifact, judgements: Artifact, prompts: list[str] | None) -> dict[str, list[Any]]:
    """Return a policy's responses, their rewards, whether they ended, how much they repeat, their tokens, by prompt."""
    table = pq.read_table(responses.path / "generations.parquet")
    rewards = pq.read_table(judgements.path / "rewards.parquet")
    texts, known = table["responses"].to_pylist(), rewards["all_rewards"].to_pylist()
    asked = ["\n".join(map(text_of, read_messages(prompt))) for prompt in table["prompt"].to_pylist()]
    refused = int(responses.counts["refused"])
    if refused or (prompts is not None and asked != prompts):
        raise ValueError(f"evals: {refused} prompts were not sampled ({responses.path / 'refused.jsonl'}); give others")
    if any(row is None or not np.isfinite(row).all() for row in known):
        raise ValueError(f"evals: the judge gave some responses of {responses.path} no reward; take another judge")
    return {
        "prompt": asked,
        f"{prefix}responses": texts,
        f"{prefix}true_rewards": known,
        f"{prefix}finished": table["finished"].to_pylist(),
        f"{prefix}repetitions": [[repetition(text) for text in row] for row in texts],
        f"{prefix}lengths": table["lengths"].to_pylist(),
    }


def win_share(rewards: Sequence[float], starting_rewards: Sequence[float]) -> float:
    """Return the share of comparisons that the policy wins, over all pairs of its responses and the starting policy's.

    A tie is half a win. Rewards that differ only by rounding are tied.
    """
    difference = np.subtract.outer(np.asarray(rewards), np.asarray(starting_rewards))
    return float(np.where(np.abs(difference) < 1e-9, 0.5, difference > 0).mean())


def scores(columns: dict[str, Any], confidence: float) -> dict[str, Any]:
    """Return the records of scores.json; every score is a mean over prompts."""
    units = {"reward": "reward", "gain": "reward", "length": "tokens"}
    values = outcomes(columns)
    each = np.arange(len(columns["win_rate"]))
    return {name: mean(values[name], each, confidence, units.get(name.split("_")[-1], "share")) for name in values}


def outcomes(columns: dict[str, Any]) -> dict[str, np.ndarray]:
    """Each score's value for each prompt, by the score's name."""
    reward, start = (_means(columns[f"{name}true_rewards"]) for name in POLICIES.values())
    found = {"win_rate": np.asarray(columns["win_rate"]), "true_reward": reward}
    found |= {"starting_true_reward": start, "reward_gain": reward - start}
    for name in POLICIES.values():
        found[f"{name}length"] = _means(columns[f"{name}lengths"])
        found[f"{name}repetition"] = _means(columns[f"{name}repetitions"])
        found[f"{name}cut_off"] = 1 - _means(columns[f"{name}finished"])
    return found


def _means(lists: Sequence[Sequence[float]]) -> np.ndarray:
    """Return the mean of each prompt's list."""
    return np.array([np.mean(each) for each in lists])
