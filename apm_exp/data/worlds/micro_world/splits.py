"""Which tasks are for demonstrations, for preferences and for evaluation: three sets without a common prompt.

A hash of the prompt decides, whatever the seed, so a policy has never seen a prompt that it is evaluated on, and
a policy of one seed may be evaluated on the prompts of another.
"""

import hashlib
import random
from collections.abc import Iterator
from typing import Literal

from apm_exp.data.worlds.micro_world.instructions import FAMILIES, Task, draw_task

Purpose = Literal["demonstrations", "preferences", "evaluation"]
_BUCKETS = 10
_PURPOSES: tuple[Purpose, ...] = (*["demonstrations"] * 5, *["preferences"] * 3, *["evaluation"] * 2)  # type: ignore
_ATTEMPTS = 10_000


def purpose_of(prompt: str) -> Purpose:
    """What a prompt may be used for: 5 of 10 hash buckets demonstrate, 3 are for preferences, 2 for evaluation."""
    digest = hashlib.sha256(prompt.encode()).digest()
    return _PURPOSES[int.from_bytes(digest[:8]) % _BUCKETS]


def draw_tasks(purpose: Purpose, count: int, seed: int) -> Iterator[Task]:
    """`count` random tasks for a purpose, families equally likely, all the same for a seed.

    Demonstrations may repeat a prompt; preferences and evaluation never do. The family is drawn first and the
    letters again where they repeat a prompt, so that families with few prompts keep their share. Raises ValueError
    where the world has no further prompt.
    """
    stream = random.Random(f"{purpose} {seed}")
    seen: set[str] | None = None if purpose == "demonstrations" else set()
    for _ in range(count):
        task = _draw_new(purpose, stream.choice(FAMILIES), stream, seen)
        if seen is not None:
            seen.add(task.prompt)
        yield task


def _draw_new(purpose: Purpose, family: str, stream: random.Random, seen: set[str] | None) -> Task:
    for _ in range(_ATTEMPTS):
        task = draw_task(family, stream)
        prompt = task.prompt
        if purpose_of(prompt) == purpose and (seen is None or prompt not in seen):
            return task
    raise ValueError(f"the micro world has no further prompt of family {family} for {purpose}; ask for fewer prompts")
