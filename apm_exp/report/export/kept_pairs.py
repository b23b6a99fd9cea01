"""The texts of a run's pairs with all their scores, read a part at a time in the order of pair_id."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core.sorted_parquet import Beside, ordered_tables
from apm_exp.report.export.finished_run import FinishedRun
from apm_exp.report.export.messages import message_columns
from apm_exp.selection.margins import COLUMNS, explicit_margin, implicit_margin

AT_ONCE = 4096  # rows of texts in memory, tens of MB
TEXTS = ("prompt", "chosen", "rejected", "tools")
REWARDS = ("chosen_reward", "rejected_reward")
LOGPS = ("chosen_logp", "rejected_logp", "chosen_len", "rejected_len")
MARGINS = ("explicit_margin", "implicit_margin")


def kept_pairs(run: FinishedRun) -> Iterator[pa.Table]:
    """Yield the pairs that the selection keeps.

    Columns: pair_id, prompt, chosen, rejected (message lists with all their fields; the responses do not repeat the
    prompt), tools (JSON, if any row has some), rewards (if the run has them), log-probs (nats, summed), lengths
    (tokens), margins, and the metric's own columns.
    """
    beside, messages = _beside(run, "train"), message_columns(_file(run, "pairs"))
    for table in ordered_tables(_file(run, "selection"), at_once=AT_ONCE):
        kept = table.filter(table["kept"]).drop_columns("kept")
        if len(kept):
            yield messages.of(_joined(kept, beside, with_rewards="rewards" in run.steps))


def held_out_pairs(run: FinishedRun) -> Iterator[pa.Table]:
    """Yield the held-out pairs with the same columns; the metric's own columns are null, as it did not score them."""
    beside, margin = _beside(run, "held_out"), run.config["reward"]["margin"]
    messages = message_columns(_file(run, "pairs"))
    rewards = Beside(_file(run, "rewards"), ["pair_id", *COLUMNS[margin]], None, AT_ONCE) if _rewarded(run) else None
    scored = pq.read_schema(_file(run, "selection"))
    for table in ordered_tables(_file(run, "logps"), ["pair_id", *LOGPS], "held_out", AT_ONCE):
        explicit = _explicit(rewards.rows(table["pair_id"]), margin) if rewards else None
        values = {"pair_id": table["pair_id"], "implicit_margin": implicit_margin(table), "explicit_margin": explicit}
        columns = {
            field.name: pa.nulls(len(table), field.type) if values.get(field.name) is None else values[field.name]
            for field in scored
            if field.name != "kept"
        }
        yield messages.of(_joined(pa.table(columns), beside, with_rewards=_rewarded(run)))


def _explicit(rows: pa.Table, margin: str) -> pa.Array:
    """Return the explicit margins, null for pairs without rewards."""
    known = pc.is_valid(rows[COLUMNS[margin][0]])
    margins = pa.array(explicit_margin(rows.filter(known), margin=margin))  # type: ignore[arg-type]
    return pc.replace_with_mask(pa.nulls(len(rows), pa.float64()), known.combine_chunks(), margins)


def score_columns(run: FinishedRun) -> list[str]:
    """Return the metric's own columns by their names in the export."""
    names = pq.read_schema(_file(run, "selection")).names
    return [_free(name) for name in names if name not in ("pair_id", "kept", *MARGINS)]


def _rewarded(run: FinishedRun) -> bool:
    return "rewards" in run.steps


def _file(run: FinishedRun, step: str) -> Path:
    return run.steps[step].path / f"{step}.parquet"


def _beside(run: FinishedRun, split: str) -> list[Beside]:
    """Return readers of the texts, rewards and log-probs of a split's pairs."""
    pairs = Beside(_file(run, "pairs"), ["pair_id", *TEXTS], split, AT_ONCE)
    logps = Beside(_file(run, "logps"), ["pair_id", *LOGPS], split, AT_ONCE)
    rewards = [Beside(_file(run, "rewards"), ["pair_id", *REWARDS], None, AT_ONCE)] if _rewarded(run) else []
    return [pairs, *rewards, logps]


def _joined(scores: pa.Table, beside: Sequence[Beside], *, with_rewards: bool) -> pa.Table:
    """Return those columns followed by the scores."""
    names = scores["pair_id"]
    columns = {"pair_id": names}
    for file in beside:
        rows = file.rows(names)
        columns |= {name: rows[name] for name in rows.column_names if name not in ("pair_id", "split")}
    shown = [name for name in scores.column_names if name != "pair_id" and (with_rewards or name != "explicit_margin")]
    return pa.table(columns | {name if name in MARGINS else _free(name): scores[name] for name in shown})


def _free(name: str) -> str:
    """Return the exported name of a metric's column, prefixed if another column has that name."""
    return f"metric_{name}" if name in (*TEXTS, *REWARDS, *LOGPS) else name
