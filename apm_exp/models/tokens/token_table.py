"""The tokens of a table of pairs, written a part at a time."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from apm_exp.core import component
from apm_exp.core.console import track
from apm_exp.core.files import atomic
from apm_exp.core.split import RANK
from apm_exp.core.types import Refusal, TokenizedPair
from apm_exp.models.context import within_context
from apm_exp.models.score_table import PARTS
from apm_exp.models.tokens.profiled import digest_for_sampled, profiled
from apm_exp.models.tokens.sampled import sampled_pairs

logger = logging.getLogger(__name__)
Refused = list[dict[str, str]]
_PAIRS_AT_ONCE = 1000
_IDS = pa.list_(pa.int32())
TOKENS_SCHEMA = pa.schema([("pair_id", pa.string()), *((part, _IDS) for part in PARTS), (RANK, pa.int32())])


def write_tokens(
    tokenizer: Any, table: pa.Table, tokens: dict[str, Any], most: int | None, path: Path
) -> tuple[Refused, dict[str, int], list[str]]:
    """Write the tokens of the accepted pairs to `path`, in the order of the table.

    most: the number of tokens that the model accepts. Returns the refused pairs, the counts of truncated prompts and
    responses, and the pair_ids of the pairs whose tokens are exactly the sampled ones.
    """
    profile = component.bind("tokens", tokens)
    digest = digest_for_sampled(tokenizer, table, profile, tokens)
    refused: Refused = []
    as_sampled: list[str] = []
    cut = {"cut_prompts": 0, "cut_responses": 0}
    differing: list[str] = []
    with atomic(path) as temporary, pq.ParquetWriter(temporary, TOKENS_SCHEMA) as writer:
        for chunk in _chunks(table):
            sampled = sampled_pairs(chunk, digest)
            results = [within_context(each, most) for each in profiled(profile, tokenizer, chunk, sampled)]
            accepted = []
            for row, result, own in zip(_names(chunk), results, sampled, strict=True):
                if isinstance(result, Refusal):
                    named = {"source": row["source"], "pair_id": row["pair_id"]}
                    refused.append({**named, "reason": result.reason, "detail": result.detail})
                else:
                    accepted.append(_row(row, result))
                    cut["cut_prompts"] += result.cut_prompt
                    cut["cut_responses"] += result.cut_responses
                    as_sampled += [row["pair_id"]] * (result == own)
                    differing += [result.differs] if result.differs else []
            writer.write_table(pa.Table.from_pylist(accepted, TOKENS_SCHEMA))
    _say_differing(differing, len(table))
    return refused, cut, as_sampled


def _say_differing(differing: list[str], pairs: int) -> None:
    """Warn if the template renders a prompt with its response differently than the prompt followed by the response."""
    if differing:
        logger.warning(
            "model.chat_template: for %d of %d pairs it does not render the prompt as for generation, followed by the "
            "response; these are scored as rendered: %s; model.chat_template_kwargs={enable_thinking: false} or "
            "similar may suit such responses better",
            *(len(differing), pairs, differing[0]),
        )


def _chunks(table: pa.Table) -> Iterator[pa.Table]:
    """Yield a thousand rows at a time, so that never all texts and tokens are Python objects at once."""
    starts = range(0, len(table), _PAIRS_AT_ONCE)
    yield from track(
        (table.slice(start, _PAIRS_AT_ONCE) for start in starts), "tokenizing, thousands of pairs", len(starts)
    )


def _names(chunk: pa.Table) -> list[dict[str, Any]]:
    return chunk.select(["pair_id", RANK, "source"]).to_pylist()


def _row(row: dict[str, Any], pair: TokenizedPair) -> dict[str, Any]:
    return {"pair_id": row["pair_id"], RANK: row[RANK], **{part: getattr(pair, part) for part in PARTS}}
