"""The prompts of an earlier step, as rows for another one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from apm_exp.core.artifact import Artifact
from apm_exp.core.messages import read_messages, read_tools, stored_tools
from apm_exp.core.types import Message, Tools
from apm_exp.data.sources.rows import SourceRow


@dataclass(frozen=True)
class KnownPrompt:
    """A prompt of an earlier step. parent_id, strategy: None unless it was made from another prompt."""

    prompt_id: str
    messages: list[Message]
    tools: Tools | None
    source: str
    parent_id: str | None
    strategy: str | None

    def row(self) -> SourceRow:
        """Return the prompt as a row of a data set, with its own prompt_id."""
        return SourceRow(self.source, {"prompt_id": self.prompt_id, **self.content(self.messages)}, None)

    def content(self, messages: list[Message], **more: Any) -> dict[str, Any]:
        """Return the columns of a row with other messages and the tools of this prompt."""
        made = {"parent_id": self.parent_id, "strategy": self.strategy}
        return {"prompt": messages, "tools": stored_tools(self.tools), **made, **more}


def known_prompts(prompts: Artifact) -> Iterator[KnownPrompt]:
    """Yield the prompts of a step in their order."""
    for row in pq.read_table(prompts.path / "prompts.parquet").to_pylist():
        messages, tools = read_messages(row.pop("prompt")), read_tools(row.pop("tools"))
        yield KnownPrompt(messages=messages, tools=tools, **row)


def last_turn(messages: list[Message]) -> str:
    """Return the text of the last turn, which a strategy rewrites."""
    return str(messages[-1]["content"] or "").strip()


def prompts_of(known: Mapping[str, float]) -> float | None:
    """Return the number of prompts in the counts of a step, or their bound; None if unknown."""
    return known.get("prompts")
