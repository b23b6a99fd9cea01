"""Stage: tokenize every pair once, and compute the log-probs of both responses under a policy."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from apm_exp.core.artifact import Artifact
from apm_exp.core.files import write_jsonl, write_parquet
from apm_exp.core.results_file import count_results
from apm_exp.core.split import RANK
from apm_exp.core.types import Policy
from apm_exp.data.generate.most_new_tokens import most_of
from apm_exp.models.score_table import PARTS, SHARDS, TOKENIZED, Scores, lengths_of, score_table
from apm_exp.models.tokens.token_table import Refused, write_tokens
from apm_exp.pipeline.flops import Load, forward_flops
from apm_exp.pipeline.work import Counts, Lengths, Work

VERSION = 4  # 4: the column holdout_rank in place of split
logger = logging.getLogger(__name__)
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
        (RANK, pa.int32()),
    ]
)
_READ = ("pair_id", "prompt", "chosen", "rejected", "tools", RANK, "source", *PARTS, "tokenizer")


def logps(
    out: Path, *, pairs: Artifact, policy: Policy, tokens: dict[str, Any], on_bad_row: str, runtime: dict[str, Any]
) -> dict[str, int]:
    """Write logps.parquet (training and held-out pairs, by pair_id) and refused.jsonl.

    Log-probs are summed over a response's tokens, in nats; lengths are in tokens. Pairs that are longer than the
    model's context are refused. Counts: pairs, tokens, refused, cut_prompts and cut_responses (truncated to the limits
    of `tokens`); for generated pairs also as_sampled, those whose tokens are exactly the sampled ones. A killed attempt
    resumes after the pairs that it has scored. Raises ValueError if no pair is left, if on_bad_row=error and a pair is
    refused, for a token that the model does not have, for log-probs that are not finite, and for log-probs of sampled
    responses that differ from the sampler's.
    """
    from apm_exp.data.generate.scored_as_sampled import check_scored_as_sampled
    from apm_exp.models.context import context_of
    from apm_exp.models.load import load_tokenizer

    path = pairs.path / "pairs.parquet"
    known = set(pq.read_schema(path).names)
    table = pq.read_table(path, columns=[name for name in _READ if name in known]).sort_by("pair_id")
    tokenizer = load_tokenizer(policy)
    refused, cut, as_sampled = write_tokens(tokenizer, table, tokens, context_of(policy), out / TOKENIZED)
    _check_refused(refused, on_bad_row, len(table))
    _say_cut(cut, len(table) - len(refused), tokens)
    write_jsonl(refused, out / "refused.jsonl")
    tokenized = pq.read_table(out / TOKENIZED)
    _warn_unknown(tokenized, tokenizer.unk_token_id)
    del table  # frees the texts before the long part
    scored = _scored(tokenized, score_table(out, policy, runtime))
    check_scored_as_sampled(path, scored, as_sampled, policy)
    write_parquet(scored, out / "logps.parquet")
    (out / TOKENIZED).unlink()
    shutil.rmtree(out / SHARDS)
    counts = {"pairs": len(tokenized), "refused": len(refused), "tokens": int(lengths_of(tokenized).sum()), **cut}
    return counts | ({"as_sampled": len(as_sampled)} if "tokenizer" in known else {})


def _check_refused(refused: Refused, on_bad_row: str, pairs: int) -> None:
    if not refused:
        return
    first = refused[0]
    example = f"{first['source']}: {first['pair_id']}: {first['reason']}: {first['detail']}"
    if on_bad_row == "error":
        raise ValueError(
            f"dataset.on_bad_row=error: {len(refused)} of {pairs} pairs cannot be tokenized, the first: {example}; "
            "dataset.on_bad_row=refuse leaves them out and lists them"
        )
    if len(refused) == pairs:
        raise ValueError(f"tokens: all {pairs} pairs were refused, the first: {example}; change tokens or the data")
    logger.warning("%d of %d pairs were refused when tokenized, the first: %s", len(refused), pairs, example)


def _say_cut(cut: dict[str, int], pairs: int, tokens: dict[str, Any]) -> None:
    if any(cut.values()):
        limits = " ".join(f"tokens.{name}={value}" for name, value in tokens.items() if name.startswith("max_"))
        logger.warning(
            "%d of %d prompts and %d of %d responses are longer than %s and were truncated",
            *(cut["cut_prompts"], pairs, cut["cut_responses"], 2 * pairs, limits),
        )


def _warn_unknown(table: pa.Table, unknown: int | None) -> None:
    """Warn if many tokens of the responses are the tokenizer's unknown token; they are scored nevertheless."""
    if unknown is None:
        return
    columns = [pc.list_flatten(table[name]) for name in ("chosen_ids", "rejected_ids")]
    count = sum(pc.sum(pc.equal(ids, unknown)).as_py() or 0 for ids in columns)
    share = count / max(1, sum(map(len, columns)))
    if share > _MUCH_UNKNOWN:
        logger.warning(
            "model: %.0f%% of the responses' tokens are the unknown token of its tokenizer; is it the right model?",
            100 * share,
        )


def _scored(table: pa.Table, logps: Scores) -> pa.Table:
    """Return the table of tokens with the log-probs and lengths of the responses."""
    values = [logps[name] for name in table["pair_id"].to_pylist()]
    columns = {name: table[name] for name in table.column_names}
    for place, response in enumerate(("chosen", "rejected")):
        columns[f"{response}_logp"] = pa.array([both[place] for both in values], pa.float64())
        columns[f"{response}_len"] = pc.list_value_length(table[f"{response}_ids"])
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def progress(folder: Path) -> int:
    """Return the number of pairs that an unfinished attempt has scored."""
    return count_results(folder / SHARDS)


def bounds(inputs: Mapping[str, Any], known: Mapping[str, Counts]) -> Counts:
    """Return the maximum number of scored pairs."""
    counts = known[inputs["pairs"].key]
    return {"pairs": counts["pairs"]} if "pairs" in counts else {}


def work(inputs: Mapping[str, Any], counts: Counts) -> Work | None:
    """Return the forward passes of the pairs with their tokens, or with the maximum if they are not tokenized yet."""
    if "tokens" in counts:
        return Work(int(counts["pairs"]), int(counts["tokens"]), exact=True)
    if "pairs" not in counts:
        return None
    pairs = int(counts["pairs"])
    return Work(pairs, pairs * sum(longest_pair(inputs)), exact=False)


def flops(_inputs: Mapping[str, Any], counts: Counts, load: Load) -> float | None:
    """Return the operations of a forward of each pair."""
    return counts["pairs"] * forward_flops(load.shape, *load.pair) if "pairs" in counts else None


def longest_pair(inputs: Mapping[str, Any]) -> Lengths:
    """Return the lengths of the longest possible pair.

    The prompt is counted once but both responses are, so the total is largest with long responses and a short prompt.
    Responses that are sampled here have at most max_new_tokens tokens and an end token.
    """
    tokens, sampled = inputs["tokens"], inputs["pairs"].inputs["sampled"]
    most = int(tokens["max_length"])
    generate = sampled["generations"].inputs["generate"] if sampled else {}
    response = min(most - 1, (most_of(generate) or most) + 1)
    prompt = min(most - response, int(tokens.get("max_prompt_length", most)))
    return prompt, response, response
