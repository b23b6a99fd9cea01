"""The pairs that are measured: real prompts and answers, in tokens, and a sample that has all their lengths."""

import gzip
import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

from apm_exp.core.types import TokenizedPair
from apm_exp.models.tiny_from_data import train_tokenizer
from apm_exp.models.tokens.pairs import tokenize_pairs

PAIRS = Path("../shared/data/alpaca_eval_pairs.jsonl.gz")
VOCABULARY = 32_000
ANSWER_TOKENS = 1024
BATCHES = (4, 8)  # pairs of one batch of the peers
LONG_PROMPT_TOKENS, LONG_ANSWER_TOKENS = 1500, 150


def read_pairs(path: Path) -> list[TokenizedPair]:
    """All pairs of a JSON-lines file (prompt, chosen, rejected, all_generated_responses; gzip or not), as tokens.

    There is no need for Llama's tokenizer: a byte-level BPE of 32,000 tokens is trained on the file's own text, which
    gives real lengths and really shared prompts. Answers are cut at ANSWER_TOKENS. Raises ValueError for a missing
    file.
    """
    if not path.is_file():
        raise ValueError(f"--pairs {path}: no such file; give the preference pairs to measure on with --pairs PATH")
    rows = _rows(path)
    texts = itertools.chain.from_iterable((row["prompt"], *row["all_generated_responses"]) for row in rows)
    tokenizer = train_tokenizer(texts, VOCABULARY)
    conversations = [[row[side] for row in rows] for side in ("chosen", "rejected")]
    prompts = [messages[:-1] for messages in conversations[0]]
    chosen, rejected = ([messages[-1:] for messages in side] for side in conversations)
    pairs = tokenize_pairs(tokenizer, "text", prompts, chosen, rejected, [None] * len(prompts))
    return [_cut(pair) for pair in pairs if isinstance(pair, TokenizedPair)]


def sample(pairs: list[TokenizedPair], count: int) -> list[TokenizedPair]:
    """`count` pairs at even steps of the pairs ordered by length, so that a small sample has the whole file's lengths.

    Which lengths meet in a batch decides how much a padded peer pads. Of 200 drawn orders (seeds 0 to 199) it is the
    one whose padding in batches of 4 and of 8 is nearest to the whole file's. Raises ValueError for a count that the
    file does not have.
    """
    if not 0 < count <= len(pairs):
        raise ValueError(f"--num-pairs {count}: the file has {len(pairs)} pairs; give 1 to {len(pairs)}")
    ordered = sorted(pairs, key=lambda pair: pair.length)
    chosen = [ordered[int((index + 0.5) * len(pairs) / count)] for index in range(count)]
    orders = (random.Random(seed).sample(chosen, count) for seed in range(200))
    wanted = [padding(pairs, size) for size in BATCHES]
    return min(orders, key=lambda order: math.dist(wanted, [padding(order, size) for size in BATCHES]))


def padding(pairs: list[TokenizedPair], size: int) -> float:
    """The tokens of batches of `size` padded to their longest row, as a multiple of those with each prompt once."""
    padded = sum(2 * len(part) * max(map(_longest_row, part)) for part in batches(pairs, size))
    return padded / sum(pair.length for pair in pairs)


def long_prompts(pairs: list[TokenizedPair], count: int) -> list[TokenizedPair]:
    """`count` pairs with a prompt of 1,500 tokens and answers of 150 each, out of the pairs' own tokens."""
    stream = itertools.cycle(itertools.chain.from_iterable(pair.prompt_ids + pair.chosen_ids for pair in pairs))

    def take(tokens: int) -> list[int]:
        return list(itertools.islice(stream, tokens))

    return [
        TokenizedPair(take(LONG_PROMPT_TOKENS), take(LONG_ANSWER_TOKENS), take(LONG_ANSWER_TOKENS))
        for _ in range(count)
    ]


def batches(pairs: list[TokenizedPair], size: int) -> list[list[TokenizedPair]]:
    """The pairs in their own order, `size` at a time; the last batch may be smaller."""
    return [pairs[start : start + size] for start in range(0, len(pairs), size)]


def describe(pairs: list[TokenizedPair]) -> str:
    """Pairs, tokens with each prompt once, and what padding both rows of each pair to a batch's longest adds."""
    responses = sum(len(pair.chosen_ids) + len(pair.rejected_ids) for pair in pairs)
    padded = " and ".join(f"{padding(pairs, size):.2f} (batches of {size})" for size in BATCHES)
    return (
        f"{len(pairs)} pairs, {sum(pair.length for pair in pairs):,} tokens with each prompt once, {responses:,} of "
        f"them of answers; padded {padded} times as many"
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return [json.loads(line) for line in text.splitlines()]


def _cut(pair: TokenizedPair) -> TokenizedPair:
    return TokenizedPair(pair.prompt_ids, pair.chosen_ids[:ANSWER_TOKENS], pair.rejected_ids[:ANSWER_TOKENS])


def _longest_row(pair: TokenizedPair) -> int:
    return len(pair.prompt_ids) + max(len(pair.chosen_ids), len(pair.rejected_ids))
