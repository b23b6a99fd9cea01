"""The prompts that ask a policy to rewrite other prompts: one per prompt and strategy."""

from collections.abc import Iterator, Mapping, Sequence

from apm_exp.core.artifact import Artifact
from apm_exp.core.types import Message
from apm_exp.data.evolve.strategies import Strategy, instruction
from apm_exp.data.generate.known_prompts import KnownPrompt, known_prompts, last_turn, prompts_of
from apm_exp.data.sources.rows import SourceRow


def instructions(prompts: Artifact, *, strategies: Sequence[Strategy]) -> Iterator[SourceRow]:
    """Yield a prompt for each prompt and strategy, with the columns parent_id and strategy."""
    for prompt in known_prompts(prompts):
        for strategy in strategies:
            text = instruction(strategy, last_turn(prompt.messages), _before(prompt))
            turn = Message(role="user", content=text)
            content = {"prompt": [turn], "parent_id": prompt.prompt_id, "strategy": strategy}
            yield SourceRow(prompt.source, content, None)


def _before(prompt: KnownPrompt) -> str:
    """Return the earlier turns of a prompt as text."""
    return "\n".join(f"{turn['role']}: {turn['content'] or ''}" for turn in prompt.messages[:-1])


def rows_from(known: Mapping[str, Mapping[str, float]], *, strategies: Sequence[Strategy]) -> float | None:
    """Return the number of rows from the counts of the steps that are read."""
    prompts = prompts_of(known["prompts"])
    return None if prompts is None else prompts * len(strategies)
