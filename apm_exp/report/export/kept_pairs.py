"""The texts of a run's pairs with all their scores, read a part at a time in the order of pair_id."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core.sorted_parquet import Beside, ordered_tables, read_column
from apm_exp.core.split import RANK, Split
from apm_exp.report.export.by_rank import by_rank
from apm_exp.report.export.finished_run import FinishedRun
from apm_exp.report.export.messages import MessageColumns, message_columns
from apm_exp.report.export.own_columns import OwnColumns, own_columns
from apm_exp.report.export.parts import Part, parts_of
from apm_exp.report.reason import reasons
from apm_exp.report.redact import last_parts
from apm_exp.selection.margins import COLUMNS, explicit_margin, implicit_margin
from apm_exp.selection.metrics.rescale import population_std

AT_ONCE = 4096  # rows of texts in memory, tens of MB
PART = "part"
TEXTS = ("prompt", "chosen", "rejected", "tools")
ROW = ("rank", "reason", "source")
REWARDS = ("chosen_reward", "rejected_reward")
LOGPS = ("chosen_logp", "rejected_logp", "chosen_len", "rejected_len")
MARGINS = ("explicit_margin", "implicit_margin")
HELD_OUT = "held out for evaluation: not ranked"


def kept_pairs(run: FinishedRun, by_value_in: Path | None = None) -> Iterator[pa.Table]:
    """Yield the pairs that the selections keep, one part of the training after the other.

    by_value_in: a folder for temporary files, to sort each part by rank; None for the order of pair_id. Columns: part
    (the place of the selection in the run, if there are several parts), pair_id, prompt, chosen, rejected (message
    lists with all their fields; the responses do not repeat the prompt), tools (JSON, if any row has some), rewards (if
    any pair has them), log-probs (nats, summed), lengths (tokens), margins, the metric's own columns, rank, reason,
    source (file:line), and the columns of the source's rows that are not read.
    """
    parts = parts_of(run)
    messages, own = message_columns(part.file("pairs") for part in parts), own_columns_of(run)
    for part in parts:
        tables = _kept_of(part, parts, messages, own)
        yield from by_rank(tables, by_value_in) if by_value_in else tables


def _kept_of(part: Part, parts: Sequence[Part], messages: MessageColumns, own: OwnColumns) -> Iterator[pa.Table]:
    beside, rank_P, start = _beside(part, parts, part.split(held_out=False)), ranks(part), 0
    metric, sigmas = part.selection.inputs["metric"], _sigmas(part)
    for table in ordered_tables(part.file("selection"), at_once=AT_ONCE):
        rank = rank_P[start : start + len(table)]
        start += len(table)
        why = pa.array(reasons(table, metric, sigmas, rank, len(rank_P)), pa.string())
        table = table.append_column("rank", pa.array(rank)).append_column("reason", why)
        kept = table.filter(table["kept"])
        if len(kept):
            yield messages.of(_joined(kept, part, parts, beside, own))


def ranks(part: Part) -> np.ndarray:
    """Return the place of each ranked pair of a part, from 1, in the order of pair_id; ties go to the smaller id."""
    value_P = read_column(part.file("selection"), "value")
    rank_P = np.empty(len(value_P), np.int64)
    rank_P[np.argsort(-value_P, kind="stable")] = np.arange(1, len(value_P) + 1)
    return rank_P


def _sigmas(part: Part) -> tuple[float, float]:
    explicit_P, implicit_P = (np.abs(read_column(part.file("selection"), name)) for name in MARGINS)
    return 0.0 if np.isnan(explicit_P).any() else population_std(explicit_P), population_std(implicit_P)


def own_columns_of(run: FinishedRun) -> OwnColumns:
    """Return the columns of the source's rows that are not read, by their names in the export."""
    parts = parts_of(run)
    scores = [_free(field.name) for field in _scores(parts)]
    taken = {PART, "pair_id", *TEXTS, *REWARDS, *LOGPS, *MARGINS, *ROW, *scores}
    return own_columns((part.file("pairs") for part in parts), taken)


def held_out_pairs(run: FinishedRun) -> Iterator[pa.Table]:
    """Yield the held-out pairs with the same columns; the metric's own columns are null, as it did not score them."""
    parts = parts_of(run)
    messages, own = message_columns(part.file("pairs") for part in parts), own_columns_of(run)
    for part in parts:
        split = part.split(held_out=True)
        beside, margin = _beside(part, parts, split), part.selection.inputs["margin"]
        rewards = Beside(part.file("rewards"), ["pair_id", *COLUMNS[margin]], None, AT_ONCE) if part.rewarded else None
        for table in ordered_tables(part.file("logps"), ["pair_id", *LOGPS], split, AT_ONCE):
            values = {"pair_id": table["pair_id"], "implicit_margin": implicit_margin(table)}
            values |= {"rank": pa.nulls(len(table), pa.int64()), "reason": pa.repeat(HELD_OUT, len(table))}
            if rewards:
                values["explicit_margin"] = _explicit(rewards.rows(table["pair_id"]), margin)
            yield messages.of(_joined(pa.table(values), part, parts, beside, own))


def _explicit(rows: pa.Table, margin: str) -> pa.Array:
    """Return the explicit margins, null for pairs without rewards."""
    known = pc.is_valid(rows[COLUMNS[margin][0]])
    if not pc.any(known).as_py():
        return pa.nulls(len(rows), pa.float64())
    margins = pa.array(explicit_margin(rows.filter(known), margin=margin))  # type: ignore[arg-type]
    return pc.replace_with_mask(pa.nulls(len(rows), pa.float64()), known.combine_chunks(), margins)


def score_columns(run: FinishedRun) -> list[str]:
    """Return the metric's own columns by their names in the export."""
    return [_free(field.name) for field in _scores(parts_of(run)) if field.name not in MARGINS]


def _scores(parts: Sequence[Part]) -> pa.Schema:
    """Return the columns of the selections; those of all parts, as a part may have a metric of its own."""
    schemas = [pq.read_schema(part.file("selection")) for part in parts]
    schema = pa.unify_schemas(schemas, promote_options="permissive")
    return pa.schema([field for field in schema if field.name not in ("pair_id", "kept")])


def _beside(part: Part, parts: Sequence[Part], split: Split) -> list[Beside]:
    """Return readers of the texts, rewards and log-probs of the pairs on one side of the split."""
    pairs = Beside(part.file("pairs"), ["pair_id", *TEXTS, "source", "own"], split, AT_ONCE)
    logps = Beside(part.file("logps"), ["pair_id", *LOGPS], split, AT_ONCE)
    rewards = [Beside(part.file("rewards"), ["pair_id", *REWARDS], None, AT_ONCE)] if _any_rewards(parts) else []
    return [pairs, *rewards, logps]


def _any_rewards(parts: Sequence[Part]) -> bool:
    return any(part.rewarded for part in parts)


def _joined(table: pa.Table, part: Part, parts: Sequence[Part], beside: Sequence[Beside], own: OwnColumns) -> pa.Table:
    """Return those columns, the scores of `table`, its rank and reason, the source and the rows' own columns.

    Scores that `table` lacks are null.
    """
    names = table["pair_id"]
    columns = {PART: pa.repeat(part.name, len(table))} if len(parts) > 1 else {}
    columns["pair_id"] = names
    for file in beside:
        rows = file.rows(names)
        columns |= {name: rows[name] for name in rows.column_names if name not in ("pair_id", RANK)}
    for field in _scores(parts):
        if field.name == "explicit_margin" and not _any_rewards(parts):
            continue
        known = field.name in table.column_names
        column = table[field.name].cast(field.type) if known else pa.nulls(len(table), field.type)
        columns[field.name if field.name in MARGINS else _free(field.name)] = column
    source, rows = columns.pop("source"), columns.pop("own")
    columns |= {"rank": table["rank"], "reason": table["reason"]}
    columns["source"] = pa.array(map(last_parts, source.to_pylist()), pa.string())
    return pa.table(columns | own.of(rows.to_pylist()))


def _free(name: str) -> str:
    """Return the exported name of a metric's column, prefixed if another column has that name."""
    return f"metric_{name}" if name in (PART, *TEXTS, *REWARDS, *LOGPS, *ROW, "own") else name
