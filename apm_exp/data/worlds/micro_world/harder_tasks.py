"""Evolving in the micro world: its own tasks made harder by a rule, as its tiny policy cannot rewrite prompts."""

import random
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field

from apm_exp.core.artifact import Artifact
from apm_exp.core.types import Message
from apm_exp.data.generate.known_prompts import KnownPrompt, known_prompts, last_turn, prompts_of
from apm_exp.data.sources.rows import SourceRow
from apm_exp.data.worlds.micro_world.instructions import FAMILIES, LETTERS, Task, parse_task, task_on
from apm_exp.data.worlds.micro_world.splits import purpose_of

WORLD = "micro_world"
PROCEDURAL = True  # the report says that no policy has written these prompts
Strategy = Literal["breadth", "deepening"]
_ADDED = (1, 3)  # letters that deepening adds, from 1 to 3
_ATTEMPTS = 100


def harder_tasks(
    prompts: Artifact,
    *,
    strategies: Annotated[list[Strategy], Field(min_length=1)],
    seed: Annotated[int, Field(ge=0)],
) -> Iterator[SourceRow]:
    """Yield a task per prompt and strategy with parent_id and strategy, deterministic for the seed and the prompt.

    breadth: a task of another family on the same letters. deepening: the same task with one to three letters more,
    which may be more than the starting policy has seen. Like all tasks for pairs, they are never those of
    demonstrations or of the evaluation. Raises ValueError for prompts that are not tasks of the micro world.
    """
    for prompt in known_prompts(prompts):
        for strategy in strategies:
            yield _row(prompt, strategy, random.Random(f"{strategy} {seed} {last_turn(prompt.messages)}"))


def _row(prompt: KnownPrompt, strategy: Strategy, stream: random.Random) -> SourceRow:
    try:
        task = parse_task(last_turn(prompt.messages))
    except ValueError as error:
        raise ValueError(f"evolve=procedural: {error}; use evolve=rewrite") from error
    change = _other_family if strategy == "breadth" else _longer
    for _ in range(_ATTEMPTS):
        text = change(task, stream).prompt
        if purpose_of(text) == "preferences":
            turns = [Message(role="user", content=text)]
            return SourceRow(prompt.source, prompt.content(turns, parent_id=prompt.prompt_id, strategy=strategy), None)
    problem = f"no task for pairs in {_ATTEMPTS} attempts ({strategy} of {prompt.prompt_id})"
    content = {"parent_id": prompt.prompt_id, "strategy": strategy}
    return SourceRow(prompt.source, content, f"not evolved: {problem}")


def _other_family(task: Task, stream: random.Random) -> Task:
    return task_on(stream.choice([family for family in FAMILIES if family != task.family]), task.letters, stream)


def _longer(task: Task, stream: random.Random) -> Task:
    more = stream.choices(LETTERS, k=stream.randint(*_ADDED))
    return Task(task.family, task.arguments, (*task.letters, *more))


def rows_from(known: Mapping[str, Mapping[str, float]], *, strategies: list[Strategy]) -> float | None:
    """Return the most evolved prompts, from the counts of the steps that are read."""
    prompts = prompts_of(known["prompts"])
    return None if prompts is None else prompts * len(strategies)
