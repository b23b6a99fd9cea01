"""Stage: responses of the starting policy to a dataset's prompts, rewarded; the best and the worst make a pair."""

import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from apm_exp.core import component
from apm_exp.core.files import write_jsonl, write_parquet
from apm_exp.core.types import Policy, Refusal
from apm_exp.data.rewards.source import SCORED, reward_source

if TYPE_CHECKING:
    from apm_exp.data.generate.prompts import Prompt, Prompts
    from apm_exp.data.generate.samples import Samples

VERSION = 3
logger = logging.getLogger(__name__)
_JOURNAL = "sampled.jsonl"
_TAKES_NO_TOOLS = Refusal("tools", "the prompt has tools, and the sampler takes none; give another generate=")


def generate(
    out: Path,
    *,
    dataset: dict[str, Any],
    policy: Policy,
    generate: dict[str, Any],
    reward: dict[str, Any],
    runtime: dict[str, Any],
    on_bad_row: str,
) -> dict[str, int]:
    """Write generations.parquet in SimPO's on-policy schema, in the order of the dataset, and refused.jsonl.

    The first `limit` rows are read. chosen is the first response with the largest reward, rejected the first with
    the smallest; all_finished says which responses ended by themselves, all_lengths how many tokens they have, and
    all_logps their log-probs as they were sampled, in nats at temperature 1. prompt_ids and all_ids are the tokens of
    the prompt that was sampled from and of each response; tokenizer says whose they are (tokens/identity.py), sampler
    which weights gave all_logps. These are null if the sampler does not tell. Counts: rows read, pairs, refused
    (bad rows, and prompts that gave no pair), bad rows, responses sampled, and those that were cut off. A killed stage
    resumes with the batch that it had begun, or with what its reward source has kept.
    Raises ValueError where a row is bad and on_bad_row is "error", and where no pair is left.
    """
    from apm_exp.data.generate.best_of_n import pairs_of_samples

    found = _prompts({**dataset, "on_bad_row": on_bad_row})
    sampled = _sample(out, found.accepted, policy, generate, runtime)
    table, without_pair = pairs_of_samples(found.accepted, sampled, reward_source(reward, out, runtime))
    refused = found.refused + without_pair
    write_jsonl(refused, out / "refused.jsonl")
    reasons = _reasons(refused)
    if not len(table):
        raise ValueError(f"generate: none of {found.rows:,} rows gave a pair ({reasons}); see {out / 'refused.jsonl'}")
    if refused:
        logger.warning("%d of %d prompts gave no pair (%s)", len(refused), found.rows, reasons)
    write_parquet(_with_sampler(table, policy), out / "generations.parquet")
    (out / _JOURNAL).unlink()
    shutil.rmtree(out / SCORED, ignore_errors=True)
    finished = [flag for one in sampled.values() if not isinstance(one, Refusal) for flag in one.finished]
    counts = {"rows": found.rows, "pairs": len(table), "refused": len(refused), "bad_rows": len(found.refused)}
    return counts | {"responses": len(finished), "cut_off": finished.count(False)}


def _with_sampler(table: pa.Table, policy: Policy) -> pa.Table:
    """The table with the tokenizer and the weights of its tokens."""
    names: list[str | None] = [None, None]
    if table["all_ids"].null_count < len(table):
        from apm_exp.models.load import load_tokenizer
        from apm_exp.models.tokens.identity import tokenizer_digest

        names = [tokenizer_digest(load_tokenizer(policy)), policy.sampler]
    for column, name in zip(("tokenizer", "sampler"), names, strict=True):
        table = table.append_column(column, pa.array([name] * len(table), pa.string()))
    return table


def _prompts(dataset: dict[str, Any]) -> "Prompts":
    from apm_exp.data.generate.prompts import read_prompts
    from apm_exp.data.sources.preflight import where_of
    from apm_exp.data.sources.reader import reader

    found = read_prompts(islice(reader(dataset)(), dataset["limit"]))
    if not found.rows:
        raise ValueError(f"{where_of(dataset)}: has no rows")
    if found.refused and dataset["on_bad_row"] == "error":
        first = found.refused[0]
        problem = f"{first['source']} {first['reason']} ({first['detail']})"
        remedy = "correct them or use dataset.on_bad_row=refuse"
        raise ValueError(f"dataset.on_bad_row=error: {len(found.refused)} of {found.rows} rows: {problem}; {remedy}")
    return found


def _reasons(refused: list[dict[str, Any]]) -> str:
    counts = Counter(refusal["reason"] for refusal in refused)
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.most_common())


def _sample(
    out: Path, prompts: "Sequence[Prompt]", policy: Policy, generate: dict[str, Any], runtime: dict[str, Any]
) -> "dict[int, Samples | Refusal]":
    """What came of each prompt, by its index."""
    from apm_exp.data.generate.journal import read_journal, record

    journal = out / _JOURNAL
    known = read_journal(journal)
    if known:
        logger.info("%d of %d prompts were sampled before", len(known), len(prompts))
    sample = component.bind("generate", generate)
    messages, tools = [prompt.messages for prompt in prompts], [prompt.tools for prompt in prompts]
    if "tools" in component.positional_names(sample.func):
        return known | dict(record(sample(policy, messages, runtime, known.keys(), tools), journal))
    refused = dict.fromkeys((index for index, each in enumerate(tools) if each), _TAKES_NO_TOOLS)
    return known | refused | dict(record(sample(policy, messages, runtime, known.keys() | refused.keys()), journal))
