"""The responses of two policies to the same prompts, with their rewards, side by side."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from apm_exp.core.artifact import Artifact
from apm_exp.core.messages import read_messages, text_of
from apm_exp.evals.repetition import repetition

POLICIES = {"policy": "", "starting_policy": "starting_"}  # prefixes of the names of a policy's scores and columns
_OF_POLICY = ("responses", "rewards", "finished", "repetitions", "lengths")


def judged_responses(responses: Mapping[str, Artifact], judgements: Mapping[str, Artifact]) -> dict[str, list[Any]]:
    """Return columns, one entry per prompt in the order of the prompts: prompt_id, prompt, and of each policy its
    responses, their rewards, whether they ended, their repetition and their tokens.

    A prompt that one of the policies did not respond to has None for it; rewards are None if one of a prompt is
    unknown.
    """
    rows = {policy: _rows(responses[policy], judgements[policy]) for policy in POLICIES}
    prompts = {prompt_id: row["prompt"] for each in rows.values() for prompt_id, row in each.items()}
    columns: dict[str, list[Any]] = {"prompt_id": list(prompts), "prompt": list(prompts.values())}
    for policy, start in POLICIES.items():
        of_policy = [rows[policy].get(prompt_id, {}) for prompt_id in prompts]
        columns |= {f"{start}{name}": [row.get(name) for row in of_policy] for name in _OF_POLICY}
    return columns


def _rows(responses: Artifact, judgements: Artifact) -> dict[str, dict[str, Any]]:
    """Return the responses of a policy to each prompt with their rewards, by prompt_id."""
    names = ["prompt_id", "prompt", "responses", "finished", "lengths"]
    rows = pq.read_table(responses.path / "generations.parquet", columns=names).to_pylist()
    rewards = pq.read_table(judgements.path / "rewards.parquet")["all_rewards"].to_pylist()
    for row, known in zip(rows, rewards, strict=True):
        row["rewards"] = known if known is not None and np.isfinite(known).all() else None
        row["prompt"] = "\n".join(map(text_of, read_messages(row["prompt"])))
        row["repetitions"] = [repetition(text) for text in row["responses"]]
    return {row["prompt_id"]: row for row in rows}
