"""Preparation of pairs, shared by all datasets: check the rows, rank the prompts for the hold-out, write the pairs."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any, Literal

from pydantic import Field

from apm_exp.core.console import track
from apm_exp.core.files import write_jsonl
from apm_exp.core.split import ALWAYS
from apm_exp.data.sources.holdout import ranks
from apm_exp.data.sources.intake import Accepted, Intake, take_in
from apm_exp.data.sources.pairs_table import Placed, write_pairs
from apm_exp.data.sources.rows import SourceRow
from apm_exp.data.sources.schemas import Recognizer

logger = logging.getLogger(__name__)
_PROBLEMS_SHOWN = 3


def prepare_pairs(
    out: Path,
    rows: Iterable[SourceRow],
    where: str,
    aside: Iterable[SourceRow] = (),
    *,
    limit: Annotated[int, Field(ge=1)] | None,
    seed: int,
    on_bad_row: Literal["refuse", "error"],
    chosen_reward: str | None,
    rejected_reward: str | None,
) -> dict[str, int]:
    """Write out/pairs.parquet and out/refused.jsonl; return the numbers of rows.

    where: the start of each error message, such as "dataset.path=a.jsonl". aside: rows of a held-out split. limit: read
    at most this many rows of the source, and of the held-out split, good or bad. seed: of the order of prompts for the
    hold-out. The table depends on the set of rows and not on their order, except that the first of several rows with
    the same id is kept. Raises ValueError if the columns match no schema, there are no rows, all rows are refused, or a
    row is refused and on_bad_row is "error"; refused.jsonl is written in these cases too.
    """
    recognizer = Recognizer(where, chosen_reward, rejected_reward)
    with TemporaryFile(dir=out) as spool:
        both = chain(islice(rows, limit), islice(aside, limit))
        intake = take_in(track(both, "reading rows", None), recognizer, seed, spool)
        write_jsonl(intake.refused, out / "refused.jsonl")
        _judge(intake, where, on_bad_row, out / "refused.jsonl")
        _warn_unused(intake, where)
        _warn_unrewarded(intake, where)
        _say_shared(intake.accepted)
        rank_of = ranks(pair.order for pair in intake.accepted if not pair.held_out)
        write_pairs(_placed(intake, rank_of), spool, out / "pairs.parquet")
    return {
        "rows": intake.rows,
        "pairs": len(intake.accepted),
        "prompts": len(rank_of),
        "refused": len(intake.refused),
    }


def _placed(intake: Intake, rank_of: Mapping[str, int]) -> list[Placed]:
    pairs = zip(intake.pair_ids(), intake.accepted, strict=True)
    return [Placed(pair_id, _rank(pair, rank_of), pair.offset) for pair_id, pair in pairs]


def _rank(pair: Accepted, rank_of: Mapping[str, int]) -> int:
    if pair.held_out:
        return ALWAYS
    return rank_of[pair.order] if pair.rank is None else pair.rank


def _say_shared(accepted: Sequence[Accepted]) -> None:
    """Log a warning about training pairs whose prompt is also in the held-out split.

    They are kept, as the split is the data set's own.
    """
    prompts = {pair.order for pair in accepted if pair.held_out}
    shared = sum(pair.order in prompts for pair in accepted if not pair.held_out)
    if shared:
        logger.warning("dataset.holdout_split: %d training pairs have the prompt of a held-out pair", shared)


def _judge(intake: Intake, where: str, on_bad_row: str, listed: Path) -> None:
    """Raise ValueError if the refused rows prevent the run; otherwise log one warning that summarizes them."""
    refused = len(intake.refused)
    if not intake.rows:
        raise ValueError(f"{where}: has no rows")
    if not refused:
        return
    summary = f"{refused:,} of {intake.rows:,} rows refused ({_reasons(intake.refused)})"
    shown = "; ".join(map(_problem, intake.refused[:_PROBLEMS_SHOWN])) + ("; ..." if refused > _PROBLEMS_SHOWN else "")
    if on_bad_row == "error":
        remedy = f"fix them (all are listed in {listed}) or use dataset.on_bad_row=refuse"
        raise ValueError(f"dataset.on_bad_row=error: {where}: {summary}: {shown}; {remedy}")
    if not intake.accepted:
        raise ValueError(f"{where}: no row is usable, {summary}: {shown}; all are listed in {listed}")
    logger.warning("%s: %s, listed in %s", where, summary, listed)


def _warn_unused(intake: Intake, where: str) -> None:
    if intake.unused:
        named = ", ".join(
            f"{name} (in {count:,} of {len(intake.accepted):,} pairs)" for name, count in intake.unused.items()
        )
        remedy = "add to the prompt what belongs there"
        logger.warning(
            "%s: columns that look like a part of the conversation are not used: %s; %s", where, named, remedy
        )


def _warn_unrewarded(intake: Intake, where: str) -> None:
    if intake.unrewarded:
        pairs = f"{intake.unrewarded:,} of {len(intake.accepted):,} pairs"
        logger.warning(
            "%s: %s lack a reward of chosen or rejected; metrics and losses that need rewards skip them", where, pairs
        )


def _reasons(refused: list[dict[str, Any]]) -> str:
    counts = Counter(refusal["reason"] for refusal in refused)
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.most_common())


def _problem(refusal: dict[str, Any]) -> str:
    identifier = "" if refusal["pair_id"] is None else f":{refusal['pair_id']}"
    return f"{refusal['source']}{identifier} {refusal['reason']} ({refusal['detail']})"
