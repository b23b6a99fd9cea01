"""Stage: responses of a policy to prompts."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from apm_exp.core import component
from apm_exp.core.artifact import Artifact
from apm_exp.core.files import write_jsonl, write_parquet
from apm_exp.core.messages import MESSAGES, read_messages, read_tools
from apm_exp.core.results_file import count_results
from apm_exp.core.told import ask
from apm_exp.core.types import Policy, Refusal
from apm_exp.data.generate.journal import read_journal, record
from apm_exp.data.generate.most_new_tokens import most_of
from apm_exp.data.generate.prompts import refusal
from apm_exp.data.generate.sampled_earlier import sampled_earlier
from apm_exp.data.generate.samples import Samples, by_prompt
from apm_exp.pipeline.flops import Load, forward_flops
from apm_exp.pipeline.work import Counts, Work

VERSION = 5  # 5: each response has its own random numbers
JOURNAL = "sampled"
logger = logging.getLogger(__name__)
_IDS = pa.list_(pa.int32())
SCHEMA = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("prompt", MESSAGES),
        ("tools", pa.string()),
        ("source", pa.string()),
        ("responses", pa.list_(pa.string())),
        ("finished", pa.list_(pa.bool_())),
        ("lengths", pa.list_(pa.int32())),
        ("logps", pa.list_(pa.float64())),
        ("prompt_ids", _IDS),
        ("response_ids", pa.list_(_IDS)),
        ("tokenizer", pa.string()),
        ("sampler", pa.string()),
    ]
)
_MANY_TRUNCATED = 0.05
_ROWS_AT_ONCE = 1000  # limits how many ids are Python integers at a time
_TAKES_NO_TOOLS = Refusal("tools", "the prompt has tools, which the sampler does not support; use another generate=")


def generations(
    out: Path, *, prompts: Artifact, policy: Policy | None, generate: dict[str, Any], runtime: dict[str, Any]
) -> dict[str, int | float]:
    """Write generations.parquet, one row per prompt in the order of the prompts, and refused.jsonl.

    Columns: finished, whether each response ended with an end token; lengths, in tokens, including the end token;
    logps, the log-prob of each response when it was sampled, in nats at temperature 1; prompt_ids and response_ids, the
    tokens of the prompt and of each response; tokenizer, the tokenizer's digest (tokens/identity.py); sampler, the
    policy that sampled them. The last five are null if the sampler does not return them. policy: None if the responses
    are another model's, as a sampler declares with OF_POLICY = False.

    Counts: prompts with responses, responses, truncated responses (cut_off), refused prompts, and what the sampler's
    own function `spending` adds. A killed attempt
    resumes with the missing responses. Responses that another step has sampled from the same policy and prompt with the
    same settings are reused. Raises ValueError if every prompt is refused.
    """
    table = pq.read_table(prompts.path / "prompts.parquet")
    sampled = _sample(out, table, policy, generate, runtime)
    refused = [
        refusal(table["source"][index].as_py(), table["prompt_id"][index].as_py(), result.reason, result.detail)
        for index, result in sorted(sampled.items())
        if isinstance(result, Refusal)
    ]
    write_jsonl(refused, out / "refused.jsonl")
    accepted = [index for index, result in sorted(sampled.items()) if isinstance(result, Samples)]
    if not accepted:
        first = f"{refused[0]['reason']}: {refused[0]['detail']}"
        raise ValueError(f"generate: all {len(table):,} prompts were refused, the first: {first}")
    if refused:
        logger.warning("%d of %d prompts were refused; see %s", len(refused), len(table), out / "refused.jsonl")
    responses: list[Samples] = [sampled[index] for index in accepted]  # type: ignore[misc]
    write_parquet(_table(table.take(accepted), responses, _sampler(responses, policy)), out / "generations.parquet")
    spending = ask("generate", generate, "spending", out / JOURNAL, out) or {}
    shutil.rmtree(out / JOURNAL)
    finished = [flag for each in responses for flag in each.finished]
    counts = {"prompts": len(accepted), "responses": len(finished), "cut_off": finished.count(False)}
    _warn_of_truncated(counts, generate)
    return counts | {"refused": len(refused)} | spending


def _warn_of_truncated(counts: Mapping[str, int], generate: Mapping[str, Any]) -> None:
    """Warn if many responses were truncated, since incomplete responses are then rewarded."""
    share = counts["cut_off"] / counts["responses"]
    if share > _MANY_TRUNCATED:
        problem = f"{counts['cut_off']:,} of {counts['responses']:,} responses ({share:.0%}) were truncated"
        limit = f"with max_new_tokens={generate.get('max_new_tokens') or 'null'}"
        logger.warning("generate: %s %s; only their beginnings are used, so allow more tokens", problem, limit)


def _sampler(responses: list[Samples], policy: Policy | None) -> dict[str, str | None]:
    """Return the digest of the tokenizer and the policy that sampled; None for both if the sampler returned no ids."""
    if policy is None or all(each.ids is None for each in responses):
        return {"tokenizer": None, "sampler": None}
    from apm_exp.models.load import load_tokenizer
    from apm_exp.models.tokens.identity import tokenizer_digest

    return {"tokenizer": tokenizer_digest(load_tokenizer(policy)), "sampler": policy.sampler}


def _table(prompts: pa.Table, responses: list[Samples], sampler: Mapping[str, str | None]) -> pa.Table:
    parts = []
    for start in range(0, len(responses), _ROWS_AT_ONCE):
        texts = prompts.slice(start, _ROWS_AT_ONCE).to_pylist()
        rows = zip(texts, responses[start : start + _ROWS_AT_ONCE], strict=True)
        parts.append(pa.Table.from_pylist([text | _row(each) | sampler for text, each in rows], SCHEMA))
    return pa.concat_tables(parts)


def _row(samples: Samples) -> dict[str, Any]:
    return {
        "responses": samples.texts,
        "finished": samples.finished,
        "lengths": samples.lengths,
        "logps": samples.logps,
        "prompt_ids": None if samples.ids is None else list(samples.prompt_ids or ()),
        "response_ids": None if samples.ids is None else [list(ids) for ids in samples.ids],
    }


def _sample(
    out: Path, prompts: pa.Table, policy: Policy | None, generate: dict[str, Any], runtime: dict[str, Any]
) -> dict[int, Samples | Refusal]:
    """Return the responses to each prompt, or why it is refused, by its row."""
    numbers = range(generate["samples"])
    earlier = {(index, number): response for index, number, response in sampled_earlier(out, prompts, len(numbers))}
    known = read_journal(out / JOURNAL) | earlier
    if known:
        logger.info("%d of %d responses were sampled before", len(known), len(prompts) * len(numbers))
    sample = component.bind("generate", generate)
    messages = [read_messages(each) for each in prompts["prompt"].to_pylist()]
    tools = [read_tools(each) for each in prompts["tools"].to_pylist()]
    takes = component.positional_names(sample.func)
    also = {name: value for name, value in {"tools": tools, "sampled": out / JOURNAL}.items() if name in takes}
    refused = {index: _TAKES_NO_TOOLS for index, each in enumerate(tools) if each and "tools" not in takes}
    usable = (index for index in range(len(prompts)) if index not in refused)
    missing = ((index, [number for number in numbers if (index, number) not in known]) for index in usable)
    wanted = {index: rest for index, rest in missing if rest}
    more = sample(policy, messages, runtime, wanted, **also)
    before = ((index, number, response) for (index, number), response in known.items())
    return refused | by_prompt([*before, *record(more, out / JOURNAL)])


def progress(folder: Path) -> int:
    """Return the number of responses that an unfinished attempt has sampled."""
    return count_results(folder / JOURNAL)


def bounds(inputs: Mapping[str, Any], known: Mapping[str, Counts]) -> Counts:
    """Return the maximum number of responses."""
    prompts = known[inputs["prompts"].key].get("prompts")
    if prompts is None:
        return {}
    return {"prompts": prompts, "responses": prompts * inputs["generate"].get("samples", 1)}


def flops(inputs: Mapping[str, Any], counts: Counts, load: Load) -> float | None:
    """Return the operations of the responses, each of a mean length, with each prompt computed once."""
    generate = inputs["generate"]
    if inputs["policy"] is None or "responses" not in counts or (most := most_of(generate)) is None:
        return None
    prompt, length = load.pair[0], min(most, max(load.pair[1:]))
    samples = generate.get("samples", 1)
    return float(counts["responses"] / samples * forward_flops(load.shape, prompt, *[length] * samples))


def work(inputs: Mapping[str, Any], counts: Counts) -> Work | None:
    """Return the forward passes of the responses, each with the maximum number of new tokens."""
    responses, most = counts.get("responses"), most_of(inputs["generate"])
    if inputs["policy"] is None or responses is None or most is None:
        return None
    return Work(int(responses), int(responses) * most, exact=False)
