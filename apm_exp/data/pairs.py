"""A source row as a checked preference pair, and what identifies it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apm_exp.data.conversation import split_pair
from apm_exp.data.responses import Responses, responses_of
from apm_exp.data.rows import BadRow
from apm_exp.data.schemas import Columns
from apm_exp.digest import canonical, text_digest
from apm_exp.types import Message

_DIGEST_LENGTH = 16


@dataclass(frozen=True)
class PreferencePair:
    """One checked pair. chosen, rejected: the text of the assistant's answers."""

    prompt: list[Message]
    chosen: str
    rejected: str
    responses: Responses

    @property
    def digest(self) -> str:
        """16 digits of the sha256 of prompt, chosen and rejected: the pair's id where the file gives none."""
        content = {"prompt": self.prompt, "chosen": self.chosen, "rejected": self.rejected}
        return text_digest(canonical(content))[:_DIGEST_LENGTH]


def pair_of(row: Mapping[str, Any], columns: Columns) -> PreferencePair:
    """The pair of a row that has the columns of its file; BadRow where its content cannot be used."""
    prompt, chosen, rejected = split_pair(row)
    return PreferencePair(prompt, chosen, rejected, responses_of(row, columns, chosen, rejected))


def identifier_of(row: Mapping[str, Any], columns: Columns) -> str | None:
    """The row's own id as text, None where the file has no id column; BadRow where it is null or empty."""
    if columns.identifier is None:
        return None
    value = row[columns.identifier]
    if value is None:
        raise BadRow("null", f"{columns.identifier} is null")
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise BadRow("wrong type", f"{columns.identifier} is of type {type(value).__name__}, not text or an integer")
    if not str(value).strip():
        raise BadRow("empty id", f"{columns.identifier} has no text")
    return str(value)


def table_row(pair: PreferencePair, source: str) -> dict[str, Any]:
    """The pair as a row of pairs.parquet, without pair_id and split, which depend on the other rows."""
    known = pair.responses
    return {
        "prompt": pair.prompt,
        "chosen": [{"role": "assistant", "content": pair.chosen}],
        "rejected": [{"role": "assistant", "content": pair.rejected}],
        "responses": known.responses,
        "chosen_index": known.chosen_index,
        "rejected_index": known.rejected_index,
        "recorded_rewards": known.rewards,
        "source": source,
    }
