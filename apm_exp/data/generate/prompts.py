"""The prompts of a dataset's rows, without duplicates."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from apm_exp.core.artifact import Artifact
from apm_exp.core.digest import canonical, text_digest
from apm_exp.core.messages import text_of
from apm_exp.core.types import Message, Tools
from apm_exp.data.generate.known_prompts import known_prompts
from apm_exp.data.sources.conversation import prompt_of, split_pair, tools_of
from apm_exp.data.sources.known_columns import with_known_columns
from apm_exp.data.sources.rows import BadRow, SourceRow, bad_row_of

_DIGEST_LENGTH = 16
MADE = ("parent_id", "strategy")  # columns of evolved prompts


@dataclass(frozen=True)
class Prompt:
    """One prompt. prompt_id: the row's own if it has one, else 16 hexadecimal digits of the prompt's sha256.

    parent_id, strategy: the prompt from which it was evolved, and how; None for prompts of a data set.
    """

    source: str
    prompt_id: str
    messages: list[Message]
    tools: Tools | None
    parent_id: str | None = None
    strategy: str | None = None


@dataclass
class Prompts:
    """The prompts of a dataset. refused: rows of refused.jsonl, whose pair_id is the prompt's id.

    Refused prompts that were made from others also have parent_id, strategy, and the text of their last turn.
    """

    rows: int = 0
    accepted: list[Prompt] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)


def read_prompts(rows: Iterable[SourceRow], seeds: Artifact | None = None, *, of_steps: bool = False) -> Prompts:
    """Return the prompts of the rows in their order; of rows with the same prompt or prompt_id the first is kept.

    seeds: prompts of another step, which are refused as duplicates too. of_steps: whether the rows were made from
    earlier steps, so that their columns parent_id and strategy are read.
    """
    result = Prompts()
    first = (
        {} if seeds is None else {_digest(each.messages, each.tools): each.prompt_id for each in known_prompts(seeds)}
    )
    for row in rows:
        result.rows += 1
        identifier = None
        made = _made(row) if of_steps else {}
        try:
            messages, tools = _read(row)
            digest = _digest(messages, tools)
            identifier = str((row.row or {}).get("prompt_id") or digest)
            if seen := first.get(digest) or first.get(identifier):
                raise BadRow("duplicate prompt", f"the same prompt or prompt_id as {seen}")
        except BadRow as bad:
            text = {"text": _text(row)} if of_steps else {}
            result.refused.append(refusal(row.source, identifier, bad.reason, bad.detail) | made | text)
            continue
        first[digest] = first[identifier] = row.source
        result.accepted.append(Prompt(row.source, identifier, messages, tools, **made))
    return result


def _made(row: SourceRow) -> dict[str, Any]:
    return {name: (row.row or {}).get(name) for name in MADE}


def _text(row: SourceRow) -> str | None:
    """Return the last turn of a row's prompt; None if it has none."""
    prompt = (row.row or {}).get("prompt")
    return text_of(prompt[-1]) if prompt and isinstance(prompt, list) else prompt


def _digest(messages: list[Message], tools: Tools | None) -> str:
    return text_digest(canonical([messages, tools] if tools else messages))[:_DIGEST_LENGTH]


def refusal(source: str, identifier: str | None, reason: str, detail: str) -> dict[str, Any]:
    """Return a row of refused.jsonl."""
    return {"source": source, "pair_id": identifier, "reason": reason, "detail": detail}


def _read(row: SourceRow) -> tuple[list[Message], Tools | None]:
    """Return the prompt of a row and its tools; the row may be a pair, or have no responses."""
    if row.row is None or row.problem:
        raise bad_row_of(row.problem or "unreadable: the dataset gave no row and no problem")
    columns = with_known_columns(row.row)
    if "chosen" in columns and "rejected" in columns:
        both = split_pair(columns)
        return both.prompt, both.tools
    if "prompt" not in columns:
        raise BadRow("missing column", "prompt")
    return prompt_of(columns), tools_of(columns)
