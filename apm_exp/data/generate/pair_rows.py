"""Make pairs from responses with rewards, as rows of a data set in the schema of SimPO's on-policy files."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from apm_exp.core.messages import read_messages, read_tools
from apm_exp.core.types import Refusal
from apm_exp.data.sources.rows import SourceRow

PairingRule = Callable[..., list[tuple[int, int]] | Refusal]  # responses, rewards, and columns if it declares them
Columns = Mapping[str, list[float]]
_NOT_COLUMNS = ("prompt_id", "all_rewards")
_READ = ["prompt_id", "prompt", "tools", "responses"]
_ROWS_AT_ONCE = 1000


def pair_rows(
    generations: Path, rewards: Path, rule: PairingRule, rank_of: Mapping[str, int] | None = None
) -> Iterator[SourceRow]:
    """Yield a row for each pair that the rule makes from a prompt's responses, or one with a problem if it makes none.

    generations, rewards: generations.parquet, and rewards.parquet of the same prompts. rank_of: the holdout_rank of
    each prompt by its id, if it is not the place of that prompt. The source of a row is the number of its row in
    generations.parquet, counted from 1.
    """
    number = 0
    with pq.ParquetFile(generations) as file, pq.ParquetFile(rewards) as scored:
        columns = (file.iter_batches(_ROWS_AT_ONCE, columns=_READ), scored.iter_batches(_ROWS_AT_ONCE))
        for batch, values in zip(*columns, strict=True):
            assert batch["prompt_id"].equals(values["prompt_id"]), f"{rewards}: not of the prompts of {generations}"
            for row, known in zip(batch.to_pylist(), values.to_pylist(), strict=True):
                number += 1
                rank = rank_of[row["prompt_id"]] if rank_of else None
                yield from (replace(each, rank=rank) for each in _pairs(f"{generations}:{number}", row, known, rule))


def _pairs(source: str, row: dict[str, Any], known: dict[str, Any], rule: PairingRule) -> Iterator[SourceRow]:
    rewards: list[float] | None = known["all_rewards"]
    columns = {name: value for name, value in known.items() if name not in _NOT_COLUMNS}
    pairs = _chosen(row["responses"], rewards, columns, rule)
    if isinstance(pairs, Refusal):
        yield SourceRow(source, None, f"{pairs.reason}: {pairs.detail} (prompt_id {row['prompt_id']})")
        return
    prompt = read_messages(row["prompt"])
    for best, worst in pairs:
        sides = {"chosen": best, "rejected": worst}
        turns = {name: {"role": "assistant", "content": row["responses"][index]} for name, index in sides.items()}
        content: dict[str, Any] = {
            "prompt": prompt,
            "prompt_id": row["prompt_id"],
            "tools": read_tools(row["tools"]),
            "all_generated_responses": row["responses"],
            "all_rm_scores": rewards,
            **{name: [*prompt, turn] for name, turn in turns.items()},
        }
        yield SourceRow(source, content, None)


def _chosen(
    responses: Sequence[str], rewards: list[float] | None, columns: Columns, rule: PairingRule
) -> list[tuple[int, int]] | Refusal:
    """Return the pairs of the rule, or a refusal if the responses have no finite rewards or are all identical."""
    if not rewards:
        return Refusal("no rewards", "the reward source gave no rewards to the responses to this prompt")
    if len({response.strip() for response in responses}) == 1:
        return Refusal("identical responses", f"{len(responses)} times {responses[0][:80]!r}")
    if not all(map(math.isfinite, rewards)):
        return Refusal("non-finite reward", ", ".join(map(str, rewards)))
    return rule(responses, rewards, columns) if reads_columns(rule) else rule(responses, rewards)


def reads_columns(rule: PairingRule) -> bool:
    """Return whether a pairing rule reads the rewards of several sources, which its parameter `columns` declares."""
    return "columns" in signature(rule).parameters
