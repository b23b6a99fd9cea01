"""Intake of source rows one by one: bad rows are refused with a reason, good rows are written to a spool file."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from apm_exp.data.sources.holdout import prompt_order
from apm_exp.data.sources.pairs import PreferencePair, identifier_of, own_of, pair_of, table_row
from apm_exp.data.sources.recognition import with_columns
from apm_exp.data.sources.rows import BadRow, SourceRow, bad_row_of
from apm_exp.data.sources.schemas import Columns, Recognizer
from apm_exp.data.sources.unused import unused_columns


@dataclass(frozen=True)
class Accepted:
    """An accepted row. digest: of its content; order: of its prompt; offset: of its line in the spool.

    held_out: whether it belongs to the held-out split of its source. rank: its holdout_rank if the source gives it.
    """

    identifier: str | None
    digest: str
    order: str
    offset: int
    held_out: bool
    rank: int | None


@dataclass
class Intake:
    """The result of reading the rows.

    refused: {"source", "pair_id", "reason", "detail"} in source order. first: where each identity was first seen.
    groups: how many accepted pairs share a prompt_id. unused: how many of them have a column that looks like a part of
    the conversation and was not read. unrewarded: how many lack rewards that the others have.
    """

    spool: BinaryIO
    rows: int = 0
    accepted: list[Accepted] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    first: dict[str, str] = field(default_factory=dict)
    groups: Counter[str] = field(default_factory=Counter)
    unused: Counter[str] = field(default_factory=Counter)
    unrewarded: int = 0

    def pair_ids(self) -> list[str]:
        """Return the id of each accepted pair.

        It is the file's own id, or else the digest. A prompt_id identifies a prompt: if several pairs share one, each
        of them gets "<prompt_id>-<digest>", independent of their order.
        """
        return [_pair_id(pair, self.groups) for pair in self.accepted]


def take_in(rows: Iterable[SourceRow], recognizer: Recognizer, seed: int, spool: BinaryIO) -> Intake:
    """Read all rows; the spool, an empty file opened for reading and writing, gets one line of JSON per good pair.

    Of rows with the same id the first is kept. Memory: a few hundred bytes per row. Raises ValueError if the columns
    match no schema.
    """
    intake = Intake(spool)
    for row, columns in with_columns(rows, recognizer):
        intake.rows += 1
        identifier: str | None = None
        try:
            content, meaning = _readable(row, columns)
            identifier = identifier_of(content, meaning)
            pair = pair_of(content, meaning)
            _accept(intake, row, meaning, identifier, pair, own_of(content, meaning), seed)
            intake.unused.update(unused_columns(content, pair))
            intake.unrewarded += meaning.has_rewards and pair.responses.rewards is None
        except BadRow as bad:
            refusal = {
                "source": row.source,
                "pair_id": identifier,
                "reason": bad.reason,
                "detail": bad.detail,
            }
            intake.refused.append(refusal)
    return intake


def _readable(row: SourceRow, columns: Columns | None) -> tuple[dict[str, Any], Columns]:
    if row.row is None or columns is None:
        raise bad_row_of(row.problem or "unreadable: the dataset gave no row and no problem")
    return row.row, columns


def _accept(
    intake: Intake,
    row: SourceRow,
    columns: Columns,
    identifier: str | None,
    pair: PreferencePair,
    own: Mapping[str, Any],
    seed: int,
) -> None:
    digest = pair.digest
    shared = columns.identifier == "prompt_id"
    identity = f"{identifier} {digest}" if shared else identifier or digest
    if identity in intake.first:
        same = "prompt, chosen and rejected" if shared or identifier is None else columns.identifier
        raise BadRow("duplicate id", f"the same {same} as {intake.first[identity]}")
    intake.first[identity] = row.source
    intake.groups.update([identifier] if shared and identifier else [])
    order = prompt_order(pair.prompt, seed)
    intake.accepted.append(Accepted(identifier, digest, order, intake.spool.tell(), row.held_out, row.rank))
    intake.spool.write(json.dumps(table_row(pair, row.source, own), ensure_ascii=False).encode() + b"\n")


def _pair_id(pair: Accepted, groups: Counter[str]) -> str:
    if pair.identifier is None:
        return pair.digest
    return f"{pair.identifier}-{pair.digest}" if groups[pair.identifier] > 1 else pair.identifier
