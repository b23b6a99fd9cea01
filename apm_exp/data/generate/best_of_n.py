"""From samples to pairs: rewards for all responses, the best against the worst, in SimPO's on-policy schema."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from apm_exp.core.messages import EXTRAS, MESSAGES, stored, stored_tools
from apm_exp.core.types import Message, Refusal
from apm_exp.data.generate.prompts import Prompt, refusal
from apm_exp.data.generate.samples import Samples
from apm_exp.data.rewards.source import RewardSource

IDS = pa.list_(pa.int32())
_ASKED = pa.schema(
    [
        ("prompt", MESSAGES),
        ("tools", pa.string()),
        ("responses", pa.list_(pa.string())),
        ("response_extras", EXTRAS),
        ("recorded_rewards", pa.list_(pa.float64())),
    ]
)
_COLUMNS = [
    ("prompt_id", pa.string()),
    ("tools", pa.string()),
    ("all_generated_responses", pa.list_(pa.string())),
    ("all_rm_scores", pa.list_(pa.float64())),
    ("all_finished", pa.list_(pa.bool_())),
    ("all_lengths", pa.list_(pa.int32())),
    ("all_logps", pa.list_(pa.float64())),
    ("chosen", MESSAGES),
    ("rejected", MESSAGES),
    ("prompt_ids", IDS),
    ("all_ids", pa.list_(IDS)),
]
_ROWS_AT_ONCE = 1000  # so that few ids are there as Python integers at a time


def pairs_of_samples(
    prompts: Sequence[Prompt], sampled: Mapping[int, Samples | Refusal], reward: RewardSource
) -> tuple[pa.Table, list[dict[str, Any]]]:
    """The table of generations, in the order of the prompts, and a row of refused.jsonl for each prompt without a pair.

    sampled: by the prompt's index. Raises ValueError where the reward source gives another number of rewards.
    """
    scores = _rewards(prompts, sampled, reward)
    rows, refused = [], []
    for index, prompt in enumerate(prompts):
        made = _row(prompt, sampled[index], scores.get(index, []))
        if isinstance(made, Refusal):
            refused.append(refusal(prompt.source, prompt.prompt_id, made.reason, made.detail))
        else:
            rows.append(made)
    schema = _schema(rows)
    parts = (rows[start : start + _ROWS_AT_ONCE] for start in range(0, len(rows), _ROWS_AT_ONCE))
    tables = [pa.Table.from_pylist([*map(_with_lists, part)], schema) for part in parts]
    return pa.concat_tables([schema.empty_table(), *tables]), refused


def _with_lists(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its tokens, if it has any, as lists."""
    if row["all_ids"] is None:
        return row
    return row | {"prompt_ids": list(row["prompt_ids"]), "all_ids": [*map(list, row["all_ids"])]}


def _rewards(
    prompts: Sequence[Prompt], sampled: Mapping[int, Samples | Refusal], reward: RewardSource
) -> dict[int, list[float]]:
    """The rewards of each prompt that was sampled, by its index."""
    answered = {index: one for index, one in sorted(sampled.items()) if isinstance(one, Samples)}
    asked = [
        {
            "prompt": stored(prompts[index].messages),
            "tools": stored_tools(prompts[index].tools),
            "responses": one.texts,
        }
        for index, one in answered.items()
    ]
    rewards = reward(pa.Table.from_pylist(asked, schema=_ASKED)) if asked else []
    counts = [len(one.texts) for one in answered.values()]
    if len(rewards) != len(counts) or any(
        row is not None and len(row) != n for row, n in zip(rewards, counts, strict=True)
    ):
        raise ValueError("reward: the reward source did not give one reward for each response")
    return {index: row or [] for index, row in zip(answered, rewards, strict=True)}


def _row(prompt: Prompt, samples: Samples | Refusal, rewards: list[float]) -> dict[str, Any] | Refusal:
    if isinstance(samples, Refusal):
        return samples
    if not rewards:
        return Refusal("no rewards", "the reward source gave the responses to this prompt none")
    indices = best_and_worst(samples.texts, rewards)
    if isinstance(indices, Refusal):
        return indices
    chosen, rejected = (stored([*prompt.messages, _answer(samples.texts[index])]) for index in indices)
    return {
        "prompt": stored(prompt.messages),
        "prompt_id": prompt.prompt_id,
        "tools": stored_tools(prompt.tools),
        "all_generated_responses": samples.texts,
        "all_rm_scores": rewards,
        "all_finished": samples.finished,
        "all_lengths": samples.lengths,
        "all_logps": samples.logps,
        "chosen": chosen,
        "rejected": rejected,
        "prompt_ids": samples.prompt_ids,
        "all_ids": samples.ids,
    }


def _answer(text: str) -> Message:
    return {"role": "assistant", "content": text}


def _schema(rows: list[dict[str, Any]]) -> pa.Schema:
    """The columns; `prompt` becomes text, as in SimPO's data, where every prompt is a single turn of the user."""
    single = all(_is_text(row["prompt"]) for row in rows)
    for row in rows if single else ():
        row["prompt"] = row["prompt"][0]["content"]
    return pa.schema([("prompt", pa.string() if single else MESSAGES), *_COLUMNS])


def _is_text(prompt: list[dict[str, Any]]) -> bool:
    return len(prompt) == 1 and prompt[0]["role"] == "user" and prompt[0]["extra"] is None


def best_and_worst(responses: Sequence[str], rewards: Sequence[float]) -> tuple[int, int] | Refusal:
    """The indices of the first response with the largest and the first with the smallest reward (as SimPO's release).

    A refusal where they make no pair: all responses are the same text, the two rewards are equal or a reward is not
    finite, or one of the two responses is empty.
    """
    if len({response.strip() for response in responses}) == 1:
        return Refusal("identical responses", f"{len(responses)} times {responses[0][:80]!r}")
    if not all(map(math.isfinite, rewards)):
        return Refusal("non-finite reward", ", ".join(map(str, rewards)))
    best, worst = rewards.index(max(rewards)), rewards.index(min(rewards))
    if rewards[best] == rewards[worst]:
        return Refusal("tied rewards", f"{len(responses)} responses, all with the reward {rewards[best]}")
    for name, index in (("best", best), ("worst", worst)):
        if not responses[index].strip():
            return Refusal("empty response", f"the {name} response has no text")
    return best, worst
