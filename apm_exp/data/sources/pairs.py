"""Conversion of a source row to a checked preference pair with an identity."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from apm_exp.core.digest import canonical, text_digest
from apm_exp.core.messages import extra_of, fields_of, stored, stored_tools, text_of
from apm_exp.core.types import Message, Tools
from apm_exp.data.sources.conversation import split_pair
from apm_exp.data.sources.responses import Responses, responses_of
from apm_exp.data.sources.rows import BadRow
from apm_exp.data.sources.schemas import RESPONSES, SCORES, Columns

_DIGEST_LENGTH = 16
_CONVERSATION = ("system", "history", "tools", RESPONSES, SCORES)


@dataclass(frozen=True)
class PreferencePair:
    """One checked pair. chosen, rejected: the assistant's messages; tools: functions that the assistant may call."""

    prompt: list[Message]
    chosen: Message
    rejected: Message
    tools: Tools | None
    responses: Responses

    @property
    def digest(self) -> str:
        """Return 16 digits of the sha256 of prompt, chosen, rejected and tools: the pair's id if the file has none.

        A response without further fields is represented by its text.
        """
        sides = {"chosen": self.chosen, "rejected": self.rejected}
        content: dict[str, Any] = {"prompt": self.prompt}
        content |= {name: side if fields_of(side) else text_of(side) for name, side in sides.items()}
        return text_digest(canonical(content | ({"tools": self.tools} if self.tools else {})))[:_DIGEST_LENGTH]


def pair_of(row: Mapping[str, Any], columns: Columns) -> PreferencePair:
    """Return the pair of a row that has the columns of its file; BadRow if its content cannot be used."""
    both = split_pair(row)
    responses = responses_of(row, columns, text_of(both.chosen), text_of(both.rejected))
    return PreferencePair(both.prompt, both.chosen, both.rejected, both.tools, responses)


def identifier_of(row: Mapping[str, Any], columns: Columns) -> str | None:
    """Return the row's own id as text, None if the file has no id column; BadRow if it is null or empty."""
    if columns.identifier is None:
        return None
    value = row[columns.identifier]
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    if value is None:
        raise BadRow("null", f"{columns.identifier} is null")
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise BadRow("wrong type", f"{columns.identifier} is of type {type(value).__name__}, not text or an integer")
    if not str(value).strip():
        raise BadRow("empty id", f"{columns.identifier} has no text")
    return str(value)


def own_of(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """Return the columns of a row that are not read: its own ids, topics, sources, ..."""
    read = columns.used - {columns.identifier} | {*_CONVERSATION, "pair_id"}
    return {name: value for name, value in row.items() if name not in read}


def table_row(pair: PreferencePair, source: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pair as a row of pairs.parquet, without pair_id and split, which depend on the other rows.

    own: the row's other columns, stored as JSON; values that JSON lacks, such as dates, become text.
    """
    known = pair.responses
    return {
        "prompt": stored(pair.prompt),
        "chosen": stored([pair.chosen]),
        "rejected": stored([pair.rejected]),
        "tools": stored_tools(pair.tools),
        "responses": known.responses,
        "response_extras": _response_extras(pair),
        "chosen_index": known.chosen_index,
        "rejected_index": known.rejected_index,
        "recorded_rewards": known.rewards,
        "source": source,
        "own": json.dumps(own, ensure_ascii=False, default=str) if own else None,
    }


def _response_extras(pair: PreferencePair) -> list[str | None] | None:
    """Return the fields of the responses besides their texts; None if neither chosen nor rejected has any."""
    extras = {
        pair.responses.chosen_index: extra_of(pair.chosen),
        pair.responses.rejected_index: extra_of(pair.rejected),
    }
    return [extras.get(index) for index in range(len(pair.responses.responses))] if any(extras.values()) else None
