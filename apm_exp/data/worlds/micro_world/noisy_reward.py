"""The reward source of the micro world: the verifiable reward r* plus noise, to model an imperfect judge."""

import hashlib
from collections.abc import Sequence
from statistics import NormalDist
from typing import Annotated

import pyarrow as pa
from pydantic import Field

from apm_exp.core.messages import text_of
from apm_exp.core.types import Message
from apm_exp.data.worlds.micro_world.true_reward import true_reward

WORLD = "micro_world"  # the prompts of another world, or of none, it does not reward
_STANDARD_NORMAL = NormalDist()
_REMEDY = "use another reward source, such as reward=recorded"


def noisy_true_reward(
    responses: pa.Table,
    *,
    noise: Annotated[float, Field(ge=0, le=1e6)],
    spread: Annotated[float, Field(gt=0, le=1e6)],
    seed: int,
) -> list[list[float]]:
    """Return r* + noise * spread * (a standard normal number) for each response, reward units.

    The number is a function of seed, prompt and response only: equal responses to a prompt have equal rewards,
    independent of the order and of other rows. Raises ValueError for prompts that are not tasks of the micro world.
    """
    rows = responses.select(["prompt", "responses"]).to_pylist()
    return [_rewards(_task(row["prompt"]), row["responses"], noise * spread, seed) for row in rows]


def true_rewards(responses: pa.Table) -> list[list[float]]:
    """Return r* itself for each response, reward units: the judge of the micro world.

    Raises ValueError for prompts that are not tasks of the micro world.
    """
    rows = responses.select(["prompt", "responses"]).to_pylist()
    return [_rewards(_task(row["prompt"]), row["responses"], 0.0, 0) for row in rows]


def check_prompt(prompt: Sequence[Message]) -> None:
    """Raise ValueError for a prompt that is not a task of the micro world."""
    _rewards(_task(prompt), [""], 0.0, 0)


def _task(prompt: Sequence[Message]) -> str:
    if len(prompt) != 1:
        raise ValueError(
            f"reward=micro_world: a prompt of {len(prompt)} turns is not a task of the micro world; {_REMEDY}"
        )
    return text_of(prompt[0])


def _rewards(prompt: str, responses: Sequence[str], deviation: float, seed: int) -> list[float]:
    try:
        return [true_reward(prompt, text) + deviation * standard_normal(seed, prompt, text) for text in responses]
    except ValueError as error:
        raise ValueError(f"reward=micro_world: {error}; {_REMEDY}") from error


def standard_normal(seed: int, prompt: str, response: str) -> float:
    """Return a standard normal number that depends only on the arguments: the normal quantile at a hash of them."""
    digest = hashlib.sha256("\0".join((str(seed), prompt, response)).encode()).digest()
    uniform = (int.from_bytes(digest[:8]) + 0.5) / 2**64  # rounding may give 1, which has no quantile
    return _STANDARD_NORMAL.inv_cdf(min(uniform, 1 - 2**-53))
