"""An evaluation: how often the policy's response is better than the starting policy's, judged by the micro world."""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from apm_exp.core.files import write_json, write_parquet
from apm_exp.core.types import Message, Policy, Refusal
from apm_exp.data.generate.samples import Samples
from apm_exp.data.worlds.micro_world.splits import draw_tasks
from apm_exp.data.worlds.micro_world.true_reward import true_reward
from apm_exp.evals.estimate import mean
from apm_exp.evals.repetition import repetition

Count = Annotated[int, Field(ge=1)]
POLICIES = ("", "starting_")  # prefixes of the names of a policy's scores and columns


def win_rate(
    out: Path,
    policy: Policy,
    starting_policy: Policy,
    runtime: dict[str, Any],
    *,
    prompts: Annotated[int, Field(ge=2, le=10**6)],
    samples: Count,
    temperature: Annotated[float, Field(gt=0, le=100)],
    top_p: Annotated[float, Field(gt=0, le=1)],
    max_new_tokens: Count,
    batch_size: Count,
    confidence: Annotated[float, Field(gt=0, lt=1)],
    seed: int,
) -> None:
    """Write scores.json, and evaluation.parquet with every response and each score's outcome, one row per prompt.

    Both policies respond to the same `prompts` tasks, which occur neither in demonstrations nor in pairs, `samples`
    times each and independently; r* is the judge. win_rate: a prompt's share of wins (see `win_share`), averaged over
    prompts; standard error and interval are over prompts. Also, for both policies: true_reward (r*, reward units),
    length (tokens, including the end token), repetition (share of repeated runs of four words) and cut_off (share of
    responses without an end token); and reward_gain (paired).
    """
    from apm_exp.data.generate.transformers_sampler import sample_responses

    tasks = [task.prompt for task in draw_tasks("evaluation", prompts, seed)]
    questions = [[Message(role="user", content=task)] for task in tasks]
    ask = partial(
        sample_responses,
        prompts=questions,
        runtime=runtime,
        known=(),
        samples=samples,
        temperature=temperature,
        top_p=top_p,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
    )
    columns: dict[str, Any] = {"prompt": tasks}
    for name, sampler in zip(POLICIES, (policy, starting_policy), strict=True):
        columns |= _columns(name, tasks, dict(ask(sampler, seed=_seed_of(seed, name))))
    columns["win_rate"] = [
        win_share(*pair) for pair in zip(*(columns[f"{name}true_rewards"] for name in POLICIES), strict=True)
    ]
    write_parquet(pa.table(columns | outcomes(columns)), out / "evaluation.parquet")
    write_json(scores(columns, confidence), out / "scores.json")


def _seed_of(seed: int, name: str) -> int:
    """Return a seed that differs between the two policies and from that of the pairs' responses."""
    return int.from_bytes(hashlib.sha256(f"win rate {name}{seed}".encode()).digest()[:4])


def _columns(name: str, tasks: Sequence[str], sampled: dict[int, Any]) -> dict[str, list[Any]]:
    """Return a policy's responses, their r*, whether they ended, their repetition and tokens: one list per prompt."""
    ordered = [_answered(sampled[index]) for index in range(len(tasks))]
    rewards = [[true_reward(task, text) for text in each.texts] for task, each in zip(tasks, ordered, strict=True)]
    return {
        f"{name}responses": [each.texts for each in ordered],
        f"{name}true_rewards": rewards,
        f"{name}finished": [each.finished for each in ordered],
        f"{name}repetitions": [[repetition(text) for text in each.texts] for each in ordered],
        f"{name}lengths": [each.lengths for each in ordered],
    }


def _answered(samples: Samples | Refusal) -> Samples:
    if isinstance(samples, Refusal):
        raise ValueError(f"evals.win_rate: a task could not be sampled: {samples.reason} ({samples.detail})")
    return samples


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
    reward, start = (_means(columns[f"{name}true_rewards"]) for name in POLICIES)
    values = {"win_rate": np.asarray(columns["win_rate"]), "true_reward": reward}
    values |= {"starting_true_reward": start, "reward_gain": reward - start}
    for name in POLICIES:
        values[f"{name}length"] = _means(columns[f"{name}lengths"])
        values[f"{name}repetition"] = _means(columns[f"{name}repetitions"])
        values[f"{name}cut_off"] = 1 - _means(columns[f"{name}finished"])
    return values


def _means(lists: Sequence[Sequence[float]]) -> np.ndarray:
    """Return the mean of each prompt's list."""
    return np.array([np.mean(each) for each in lists])
