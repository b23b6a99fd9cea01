"""Evolving: prompts that the policy has rewritten by the strategies of EvolInstruct, as far as they pass the checks."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import pyarrow.parquet as pq
from pydantic import Field

from apm_exp.core.artifact import Artifact
from apm_exp.core.types import Message, Refusal
from apm_exp.data.evolve.checks import problem_of
from apm_exp.data.evolve.strategies import Strategy
from apm_exp.data.generate.known_prompts import KnownPrompt, known_prompts, last_turn, prompts_of
from apm_exp.data.sources.rows import SourceRow

Strategies = Annotated[list[Strategy], Field(min_length=1)]
Ratio = Annotated[float, Field(gt=1, le=1e6)]


def rewrites(
    prompts: Artifact, instructions: Artifact, replies: Artifact, *, strategies: Strategies, length_ratio: Ratio
) -> Iterator[SourceRow]:
    """Yield the evolved prompts with parent_id and strategy, and the refused ones with the reason (checks.py).

    prompts: those that are evolved. instructions, replies: the prompts that ask for it, and the policy's responses to
    them. The last turn of a conversation is replaced, the others and the tools stay. Rewrites that equal each other or
    a prompt of the data set are refused by the stage.
    """
    parents = {each.prompt_id: each for each in known_prompts(prompts)}
    asked = {each.prompt_id: each for each in known_prompts(instructions)}
    columns = ["prompt_id", "responses", "finished"]
    for row in pq.read_table(replies.path / "generations.parquet", columns=columns).to_pylist():
        instruction = asked[row["prompt_id"]]
        parent, strategy = parents[str(instruction.parent_id)], str(instruction.strategy)
        text, finished = row["responses"][0].strip(), row["finished"][0]
        problem = problem_of(text, finished=finished, parent=last_turn(parent.messages), length_ratio=length_ratio)
        yield _row(parent, strategy, text, problem)


def _row(parent: KnownPrompt, strategy: str, text: str, problem: Refusal | None) -> SourceRow:
    turns = [*parent.messages[:-1], Message(role="user", content=text)]
    refused = None
    if problem:
        refused = f"{problem.reason}: {problem.detail} ({strategy} of {parent.prompt_id})"
    return SourceRow(parent.source, parent.content(turns, parent_id=parent.prompt_id, strategy=strategy), refused)


def check(*, strategies: list[Strategy]) -> None:
    """Raise ValueError if a strategy is listed twice."""
    if len(set(strategies)) < len(strategies):
        raise ValueError(f"evolve.strategies=[{','.join(strategies)}]: lists one twice; list each once")


def instructions_node(*, strategies: list[Strategy]) -> dict[str, Any]:
    """Return the node of the prompts to which the policy responds with a rewritten prompt."""
    return {"_target_": "apm_exp.data.evolve.instructions.instructions", "strategies": strategies}


def rows_from(known: Mapping[str, Mapping[str, float]]) -> float | None:
    """Return the most evolved prompts, from the counts of the steps that are read."""
    return prompts_of(known["replies"])
