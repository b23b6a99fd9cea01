"""An evaluation: how often the policy's response is better than the starting policy's, by the rewards of a judge."""

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

POLICIES = {"policy": "", "starting_policy": "starting_"}  # prefixes of the names of a policy's scores and columns


def win_rate(
    out: Path,
    responses: Mapping[str, Artifact],
    judgements: Mapping[str, Artifact],
    *,
    confidence: Annotated[float, Field(gt=0, lt=1)],
) -> None:
    """Write scores.json, and evaluation.parquet with every response and each score's outcome, one row per prompt.

    responses, judgements: of both policies, for the same prompts, several times each and independently, with their
    rewards. win_rate: a prompt's share of wins (see `win_share`), averaged over prompts; standard error and interval
    are over prompts. Also, for both policies: true_reward (the judge's reward), length (tokens, including the end
    token), repetition (share of repeated runs of four words) and cut_off (share of responses without an end token); and
    reward_gain (paired). Raises ValueError if a policy has no response to a prompt, or the judge gave no reward.
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
    """Return a policy's responses, their rewards, whether they ended, their repetition and tokens, by prompt."""
    table = pq.read_table(responses.path / "generations.parquet")
    rewards = pq.read_table(judgements.path / "rewards.parquet")
    texts, known = table["responses"].to_pylist(), rewards["all_rewards"].to_pylist()
    asked = ["\n".join(map(text_of, read_messages(prompt))) for prompt in table["prompt"].to_pylist()]
    refused = int(responses.counts["refused"])
    if refused or (prompts is not None and asked != prompts):
        raise ValueError(
            f"evals: {refused} prompts were not sampled ({responses.path / 'refused.jsonl'}); use other prompts"
        )
    if any(row is None or not np.isfinite(row).all() for row in known):
        raise ValueError(f"evals: the judge gave no reward to some responses of {responses.path}; use another judge")
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
    """Return each score's value for each prompt, by the score's name."""
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
