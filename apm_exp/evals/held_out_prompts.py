"""The prompts of the pairs that a run holds out, for evaluations in which the policies respond to them."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from apm_exp.core.artifact import Artifact
from apm_exp.core.digest import canonical, text_digest
from apm_exp.core.messages import read_messages
from apm_exp.core.split import held_out_split
from apm_exp.data.sources.rows import SourceRow

ON = "the held-out prompts of the run's pairs"


def held_out_prompts(pairs: Artifact, holdout: float, *, prompts: Annotated[int, Field(ge=2)]) -> Iterator[SourceRow]:
    """Yield at most `prompts` of the held-out prompts, each once, as rows with the columns prompt and tools.

    holdout: the share of the prompts that is held out. They are in the order of the digests of their content: the first
    ones are a random sample, the same in every run.
    """
    table = held_out_split(pairs, holdout).read(pairs.path / "pairs.parquet", ["prompt", "tools", "source"])
    found: dict[str, SourceRow] = {}
    for row in table.to_pylist():
        content = {"prompt": read_messages(row["prompt"]), "tools": row["tools"]}
        found.setdefault(text_digest(canonical(content)), SourceRow(row["source"], content, None))
    for digest in sorted(found)[:prompts]:
        yield found[digest]


def rows(*, prompts: int) -> int:
    """Return the most prompts that there can be."""
    return prompts
