"""The prompts of a dataset's rows, without duplicates."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from apm_exp.core.digest import canonical, text_digest
from apm_exp.core.types import Message, Tools
from apm_exp.data.sources.conversation import prompt_of, split_pair, tools_of
from apm_exp.data.sources.known_columns import with_known_columns
from apm_exp.data.sources.rows import BadRow, SourceRow, bad_row_of

_DIGEST_LENGTH = 16


@dataclass(frozen=True)
class Prompt:
    """One prompt. prompt_id: the row's own if it has one, else 16 hexadecimal digits of the prompt's sha256."""

    source: str
    prompt_id: str
    messages: list[Message]
    tools: Tools | None


@dataclass
class Prompts:
    """The prompts of a dataset. refused: rows of refused.jsonl, whose pair_id is the prompt's id."""

    rows: int = 0
    accepted: list[Prompt] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)


def read_prompts(rows: Iterable[SourceRow]) -> Prompts:
    """Return the prompts of the rows in their order; of rows with the same prompt or prompt_id the first is kept."""
    result = Prompts()
    first: dict[str, str] = {}
    for row in rows:
        result.rows += 1
        identifier = None
        try:
            messages, tools = _read(row)
            digest = text_digest(canonical([messages, tools] if tools else messages))[:_DIGEST_LENGTH]
            identifier = str((row.row or {}).get("prompt_id") or digest)
            if seen := first.get(digest) or first.get(identifier):
                raise BadRow("duplicate prompt", f"the same prompt or prompt_id as {seen}")
        except BadRow as bad:
            result.refused.append(refusal(row.source, identifier, bad.reason, bad.detail))
            continue
        first[digest] = first[identifier] = row.source
        result.accepted.append(Prompt(row.source, identifier, messages, tools))
    return result


def refusal(source: str, identifier: str | None, reason: str, detail: str) -> dict[str, Any]:
    """Return a row of refused.jsonl."""
    return {"source": source, "pair_id": identifier, "reason": reason, "detail": detail}


def _read(row: SourceRow) -> tuple[list[Message], Tools | None]:
    """Return the prompt of a row and its tools; the row may be a pair, or have no responses."""
    if row.row is None:
        raise bad_row_of(row.problem or "unreadable: the dataset gave no row and no problem")
    columns = with_known_columns(row.row)
    if "chosen" in columns and "rejected" in columns:
        both = split_pair(columns)
        return both.prompt, both.tools
    if "prompt" not in columns:
        raise BadRow("missing column", "prompt")
    return prompt_of(columns), tools_of(columns)
