"""Pairs whose responses were sampled by this project: the sampled tokens are used and nothing is rendered again."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from apm_exp.core.types import Refusal, TokenizedPair

_PARTS = ("prompt_ids", "chosen_ids", "rejected_ids")
Sampled = Sequence[TokenizedPair | None]


def sampled_pairs(rows: pa.Table, tokenizer_digest: str | None) -> list[TokenizedPair | None]:
    """Return the sampled tokens of each row of pairs.parquet; None if it has none, or those of another tokenizer.

    tokenizer_digest: see tokens/identity.py; None for rows without sampled tokens.
    """
    if tokenizer_digest is None:
        return [None] * len(rows)
    same = (digest == tokenizer_digest for digest in rows["tokenizer"].to_pylist())
    ids = zip(*(rows[part].to_pylist() for part in _PARTS), strict=True)
    return [TokenizedPair(*parts) if mine else None for mine, parts in zip(same, ids, strict=True)]


def sampled_or(
    rendered: Callable[..., list[TokenizedPair | Refusal]], texts: Mapping[str, Sequence[Any]], sampled: Sampled | None
) -> list[TokenizedPair | Refusal]:
    """Return the tokens of each pair, not truncated: the sampled ones, or those that `rendered` makes of its texts by
    name.
    """
    if sampled is None:
        return rendered(**texts)
    rows = [row for row, pair in enumerate(sampled) if pair is None]
    others = iter(rendered(**{name: [column[row] for row in rows] for name, column in texts.items()}))
    return [next(others) if pair is None else pair for pair in sampled]
