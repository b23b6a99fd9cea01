"""Disjoint sets of tasks for demonstrations, preferences and evaluation.

A hash of the prompt decides, independent of the seed: a policy has never seen a prompt on which it is evaluated, even
if the evaluation uses another seed.
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
    """Return the purpose of a prompt: of 10 hash buckets, 5 are for demonstrations, 3 for preferences, 2 for
    evaluation.
    """
    digest = hashlib.sha256(prompt.encode()).digest()
    return _PURPOSES[int.from_bytes(digest[:8]) % _BUCKETS]


def draw_tasks(purpose: Purpose, count: int, seed: int) -> Iterator[Task]:
    """Yield `count` random tasks for a purpose, families equally likely, deterministic for a seed.

    Demonstrations may repeat a prompt; preferences and evaluation never do. The family is drawn first, and the letters
    are drawn again if they repeat a prompt, so that families with few prompts keep their share. Raises ValueError if
    the world has no further prompt.
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
