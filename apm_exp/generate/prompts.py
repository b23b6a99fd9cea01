"""Which prompts are sampled: the rows of a dataset, reduced to their prompts, each prompt once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from apm_exp.data.conversation import messages_of, split_pair
from apm_exp.data.rows import BadRow, SourceRow, bad_row_of
from apm_exp.digest import canonical, text_digest
from apm_exp.types import Message

_DIGEST_LENGTH = 16


@dataclass(frozen=True)
class Prompt:
    """One prompt. prompt_id: the row's own where it has one, else 16 hexadecimal digits of the prompt's sha256."""

    source: str
    prompt_id: str
    messages: list[Message]


@dataclass
class Prompts:
    """The prompts of a dataset. refused: {"source", "pair_id", "reason", "detail"}; pair_id is the prompt's id."""

    rows: int = 0
    accepted: list[Prompt] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)


def read_prompts(rows: Iterable[SourceRow]) -> Prompts:
    """The prompts of the rows in their order; of rows with the same prompt or prompt_id the first is kept."""
    found = Prompts()
    first: dict[str, str] = {}
    for row in rows:
        found.rows += 1
        identifier = None
        try:
            messages = _messages(row)
            digest = text_digest(canonical(messages))[:_DIGEST_LENGTH]
            identifier = str((row.row or {}).get("prompt_id") or digest)
            if seen := first.get(digest) or first.get(identifier):
                raise BadRow("duplicate prompt", f"the same prompt or prompt_id as {seen}")
        except BadRow as bad:
            found.refused.append(refusal(row.source, identifier, bad.reason, bad.detail))
            continue
        first[digest] = first[identifier] = row.source
        found.accepted.append(Prompt(row.source, identifier, messages))
    return found


def refusal(source: str, identifier: str | None, reason: str, detail: str) -> dict[str, Any]:
    """A row of refused.jsonl."""
    return {"source": source, "pair_id": identifier, "reason": reason, "detail": detail}


def _messages(row: SourceRow) -> list[Message]:
    """The prompt of a row: of a pair, or its column `prompt`, text or messages."""
    if row.row is None:
        raise bad_row_of(row.problem or "unreadable: the dataset gave no row and no problem")
    if "chosen" in row.row and "rejected" in row.row:
        return split_pair(row.row)[0]
    if "prompt" not in row.row:
        raise BadRow("missing column", "prompt")
    return _checked(row.row)


def _checked(row: Mapping[str, Any]) -> list[Message]:
    prompt = row["prompt"]
    messages = [Message(role="user", content=prompt)] if isinstance(prompt, str) else messages_of(prompt, "prompt")
    if not any(turn["content"].strip() for turn in messages if turn["role"] not in {"system", "developer"}):
        raise BadRow("empty prompt", "no turn has any text")
    if messages[-1]["role"] == "assistant":
        raise BadRow("last turn is the assistant's", "there is nothing to answer")
    return messages
