"""The prompts of two steps together."""

from collections.abc import Iterator, Mapping

from apm_exp.core.artifact import Artifact
from apm_exp.data.generate.known_prompts import known_prompts, prompts_of
from apm_exp.data.sources.rows import SourceRow


def united_prompts(prompts: Artifact, evolved: Artifact) -> Iterator[SourceRow]:
    """Yield the prompts of the first step, then those of the second."""
    for each in (prompts, evolved):
        yield from (prompt.row() for prompt in known_prompts(each))


def rows_from(known: Mapping[str, Mapping[str, float]]) -> float | None:
    """Return the number of prompts of both steps."""
    first, second = (prompts_of(known[name]) for name in ("prompts", "evolved"))
    return None if first is None or second is None else first + second
