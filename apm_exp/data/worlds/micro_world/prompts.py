"""The dataset component of the micro world: prompts without responses, for which the policy generates responses."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from apm_exp.core.types import Message
from apm_exp.data.sources.rows import SourceRow
from apm_exp.data.worlds.micro_world.instructions import SHORTEST_TASK
from apm_exp.data.worlds.micro_world.splits import Purpose, draw_tasks

WORLD = "micro_world"


def prompts(*, prompts: Annotated[int, Field(ge=1, le=10**6)], seed: int) -> Iterator[SourceRow]:
    """Yield `prompts` distinct tasks, deterministic for a seed, as rows with the column `prompt`.

    None of them is a prompt of the starting policy's demonstrations or of the evaluation. Raises ValueError if the
    world has no further prompt.
    """
    return _rows("preferences", prompts, seed)


def evaluation_prompts(*, prompts: Annotated[int, Field(ge=2, le=10**6)], seed: int) -> Iterator[SourceRow]:
    """Yield `prompts` different tasks for an evaluation, the same for a seed, as rows with the column `prompt`.

    None of them is a prompt of the starting policy's demonstrations or of the pairs. Raises ValueError if the world has
    no further prompt.
    """
    return _rows("evaluation", prompts, seed)


def _rows(purpose: Purpose, prompts: int, seed: int) -> Iterator[SourceRow]:
    for number, task in enumerate(draw_tasks(purpose, prompts, seed), 1):
        yield SourceRow(f"micro_world:{number}", {"prompt": task.prompt}, None)


def rows(*, prompts: int) -> int:
    """Return the number of rows."""
    return prompts


def mean_pair() -> tuple[float, float, float]:
    """Return the tokens of a mean pair of the default world: prompt, chosen and rejected response."""
    return 9.7, 7.9, 7.4


def shortest_prompt() -> list[Message]:
    """Return a prompt that is as short as any."""
    return [Message(role="user", content=SHORTEST_TASK.prompt)]
