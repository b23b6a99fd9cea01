"""Stage: tokenise every pair once, and score both responses under the starting policy."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from apm_exp import component
from apm_exp.artifact import Artifact
from apm_exp.files import write_jsonl, write_parquet
from apm_exp.progress import track
from apm_exp.types import Policy, Refusal, TokenisedPair

VERSION = 1
logger = logging.getLogger(__name__)
_PAIRS_AT_ONCE = 1000
_MUCH_UNKNOWN = 0.05  # share of the tokens
_IDS = pa.list_(pa.int32())
SCHEMA = pa.schema(
    [
        ("pair_id", pa.string()),
        ("prompt_ids", _IDS),
        ("chosen_ids", _IDS),
        ("rejected_ids", _IDS),
        ("chosen_logp", pa.float64()),
        ("rejected_logp", pa.float64()),
        ("chosen_len", pa.int32()),
        ("rejected_len", pa.int32()),
        ("split", pa.string()),
    ]
)


def logps(
    out: Path, *, pairs: Artifact, policy: Policy, tokens: dict[str, Any], on_bad_row: str, runtime: dict[str, Any]
) -> dict[str, int]:
    """Write logps.parquet (train and held-out pairs) and refused.jsonl; returns counts of pairs, tokens, refused.

    Log-probs are summed over the response's tokens, in nats; lengths in tokens. Raises ValueError where no pair is
    left, where on_bad_row=error and one is refused, for a token that the model does not have, and for log-probs
    that are not finite.
    """
    from apm_exp.models.load import load_tokenizer

    table = pq.read_table(pairs.path / "pairs.parquet").sort_by("pair_id")
    tokenizer = load_tokenizer(policy)
    tokenised = _tokenise(tokenizer, table, tokens)
    refused = _refused(table, tokenised)
    _check_refused(refused, on_bad_row, len(table))
    write_jsonl(refused, out / "refused.jsonl")
    kept = [row for row, result in enumerate(tokenised) if isinstance(result, TokenisedPair)]
    scored = [result for result in tokenised if isinstance(result, TokenisedPair)]
    names = table["pair_id"].take(kept).to_pylist()
    _warn_unknown(scored, tokenizer.unk_token_id)
    values = _score(scored, names, policy, runtime)
    write_parquet(_table(names, scored, values, table["split"].take(kept).to_pylist()), out / "logps.parquet")
    return {"pairs": len(scored), "refused": len(refused), "tokens": sum(_length(pair) for pair in scored)}


def _tokenise(tokenizer: Any, table: pa.Table, tokens: dict[str, Any]) -> list[TokenisedPair | Refusal]:
    """In chunks, so that the texts are not all there twice as Python objects."""
    profile = component.bind("tokens", tokens)
    chunks = [table.slice(start, _PAIRS_AT_ONCE) for start in range(0, len(table), _PAIRS_AT_ONCE)]
    results: list[TokenisedPair | Refusal] = []
    for chunk in track(chunks, "tokenising, thousands of pairs", len(chunks)):
        results += profile(tokenizer, *(chunk[name].to_pylist() for name in ("prompt", "chosen", "rejected")))
    return results


def _refused(table: pa.Table, tokenised: Sequence[TokenisedPair | Refusal]) -> list[dict[str, str]]:
    rows = zip(table["source"].to_pylist(), table["pair_id"].to_pylist(), tokenised, strict=True)
    return [
        {"source": source, "pair_id": pair_id, "reason": result.reason, "detail": result.detail}
        for source, pair_id, result in rows
        if isinstance(result, Refusal)
    ]


def _check_refused(refused: Sequence[dict[str, str]], on_bad_row: str, pairs: int) -> None:
    if not refused:
        return
    first = refused[0]
    example = f"{first['source']}: {first['pair_id']}: {first['reason']}: {first['detail']}"
    if on_bad_row == "error":
        raise ValueError(
            f"dataset.on_bad_row=error: {len(refused)} of {pairs} pairs cannot be tokenised, the first: {example}; "
            "dataset.on_bad_row=refuse leaves them out and lists them"
        )
    if len(refused) == pairs:
        raise ValueError(f"tokens: all {pairs} pairs were refused, the first: {example}; change tokens or the data")
    logger.warning("%d of %d pairs refused by their tokens, the first: %s", len(refused), pairs, example)


def _score(
    pairs: Sequence[TokenisedPair], names: Sequence[str], policy: Policy, runtime: dict[str, Any]
) -> list[tuple[float, float]]:
    """The log-probs of both responses of each pair, in the order of `pairs`."""
    from apm_exp.models.load import load_model
    from apm_exp.scoring import check_plain, padded_tokens, score_pairs

    settings = component.bind("runtime", runtime)()
    model: Any = load_model(policy, settings.device)
    _check_ids(pairs, names, model.get_input_embeddings().weight.shape[0])
    check_plain(model, min(pairs, key=padded_tokens), policy.dtype)
    values = [(0.0, 0.0)] * len(pairs)
    scores = score_pairs(model, pairs, names, settings.tokens_per_batch)
    for index, chosen, rejected in track(scores, "scoring pairs", len(pairs)):
        values[index] = (chosen, rejected)
    return values


def _warn_unknown(pairs: Sequence[TokenisedPair], unknown: int | None) -> None:
    """Text that the tokenizer was not made for is scored all the same; say so."""
    if unknown is None:
        return
    ids = [token for pair in pairs for token in (*pair.chosen_ids, *pair.rejected_ids)]
    share = ids.count(unknown) / max(1, len(ids))
    if share > _MUCH_UNKNOWN:
        logger.warning(
            "model: %.0f%% of the responses' tokens are unknown to its tokenizer; is it the right model?", 100 * share
        )


def _check_ids(pairs: Sequence[TokenisedPair], names: Sequence[str], rows: int) -> None:
    """Every part has tokens, and every token a row of the embedding."""
    for name, pair in zip(names, pairs, strict=True):
        parts = (pair.prompt_ids, pair.chosen_ids, pair.rejected_ids)
        if not all(parts):
            raise ValueError(f"tokens: the pair {name} has a prompt or a response without tokens")
        largest = max(map(max, parts))
        if largest >= rows or min(map(min, parts)) < 0:
            raise ValueError(
                f"model.path: the pair {name} has the token {largest}, and the model's embedding has {rows} rows; "
                "the tokenizer does not belong to this model"
            )


def _length(pair: TokenisedPair) -> int:
    return len(pair.prompt_ids) + len(pair.chosen_ids) + len(pair.rejected_ids)


def _table(
    names: Sequence[str],
    pairs: Sequence[TokenisedPair],
    values: Sequence[tuple[float, float]],
    splits: Sequence[str],
) -> pa.Table:
    columns = {
        "pair_id": names,
        "prompt_ids": [pair.prompt_ids for pair in pairs],
        "chosen_ids": [pair.chosen_ids for pair in pairs],
        "rejected_ids": [pair.rejected_ids for pair in pairs],
        "chosen_logp": [chosen for chosen, _ in values],
        "rejected_logp": [rejected for _, rejected in values],
        "chosen_len": [len(pair.chosen_ids) for pair in pairs],
        "rejected_len": [len(pair.rejected_ids) for pair in pairs],
        "split": splits,
    }
    return pa.table(columns, schema=SCHEMA)
