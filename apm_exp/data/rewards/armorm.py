"""Reward source: ArmoRM, 19 rewards mixed by a gate that reads the prompt."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field

from apm_exp.core import component
from apm_exp.core.component import UNHASHED
from apm_exp.data.rewards.armorm_gate import gate_ids, needed
from apm_exp.data.rewards.conversation_ids import Limits, OnTooLong, chat_tokenizer, conversation_ids, in_rows, named
from apm_exp.data.rewards.hub_model import config_here as config_here
from apm_exp.data.rewards.hub_model import is_here as is_here
from apm_exp.data.rewards.hub_model import pin as pin
from apm_exp.data.rewards.sequence_scores import per_batch, score_all
from apm_exp.models.pretrained import folder_of


def armorm(
    responses: pa.Table,
    runtime: Mapping[str, Any],
    scored: Path,
    *,
    path: str,
    revision: str | None,
    dtype: Literal["float32", "bfloat16", "float16"],
    batch_size: Annotated[int, Field(gt=0), UNHASHED],
    max_length: Annotated[int, Field(gt=0)],
    on_too_long: OnTooLong = "truncate",
) -> list[list[float] | None]:
    """Return ArmoRM's score of each response to its prompt; runs on the runtime's device.

    The score is the sum over the objectives of the gate's weight times the transformed reward; the head is computed in
    float32. Conversations, `scored`, and what is refused, truncated and counted are as for a classifier. A row also has
    no rewards if truncation removes the header of the response, where the gate reads. Raises ValueError as classifier,
    and if the chat template does not write that header.
    """
    import torch

    from apm_exp.models.armorm import ArmoRM, armorm_scores, keep_head_exact
    from apm_exp.models.context import context_length
    from apm_exp.models.load import load_weights

    label = f"reward.path={path}"
    folder = folder_of("reward", path, revision, False)
    tokenizer = chat_tokenizer(folder, label, False)
    gate = gate_ids(tokenizer, label)
    model: Any = keep_head_exact(load_weights(ArmoRM, folder, label, dtype=getattr(torch, dtype)))  # type: ignore[arg-type]
    model = model.to(component.bind("runtime", runtime)().device)
    limits = Limits(max_length, context_length(model), on_too_long, needs=partial(needed, gate, label))
    conversations, names = named(conversation_ids(tokenizer, responses, limits, label))
    score = per_batch(armorm_scores(model, gate))
    return in_rows(names, score_all(score, conversations, batch_size, scored, label))


def preflight(*, path: str, revision: str | None, max_length: int) -> None:
    """Check the model's folder without loading its weights. Raises a one-line ValueError."""
    from apm_exp.data.rewards.preflight import check_armorm

    check_armorm(path, revision, max_length)
