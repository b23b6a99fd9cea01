"""Reward source: a reward model that is a sequence classifier with one label."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field

from apm_exp.core import component
from apm_exp.core.component import UNHASHED
from apm_exp.data.rewards.conversation_ids import Limits, OnTooLong, chat_tokenizer, conversation_ids, in_rows, named
from apm_exp.data.rewards.hub_model import config_here as config_here
from apm_exp.data.rewards.hub_model import is_here as is_here
from apm_exp.data.rewards.hub_model import pin as pin
from apm_exp.data.rewards.sequence_scores import per_batch, score_all
from apm_exp.models.pretrained import folder_of


def classifier(
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
    trust_remote_code: bool,
) -> list[list[float] | None]:
    """Return the reward model's score of each response to its prompt, in reward units; runs on the runtime's device.

    Conversations are rendered with the reward model's own chat template; the prompt of a row is computed once for all
    its responses if the model is a decoder. A row has no rewards (None) if the template fails for it, or if a response
    is longer than the model's positions. Conversations are truncated to max_length tokens, and control tokens in their
    text are tokenized as plain text. All of these are counted in warnings; on_too_long=error makes those that are too
    long an error. Equal conversations are scored once. scored: a folder for the scores so far, from which a killed
    attempt resumes.

    Raises ValueError if the template fails for all rows, if the model does not have exactly one label, if one response
    alone does not fit into memory, if a score is not finite, or if the model's head would be random: a class that
    transformers does not know loads as a plain classifier with an untrained head (as ArmoRM: reward=armorm).
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    from apm_exp.models.classifier_scores import classifier_scores
    from apm_exp.models.context import context_length
    from apm_exp.models.load import load_weights

    label = f"reward.path={path}"
    folder = folder_of("reward", path, revision, trust_remote_code)
    tokenizer = chat_tokenizer(folder, label, trust_remote_code)
    arguments = {"dtype": getattr(torch, dtype), "trust_remote_code": trust_remote_code}
    model = load_weights(AutoModelForSequenceClassification, folder, label, **arguments)
    if model.config.num_labels != 1:
        remedy = "use a reward model with one"
        raise ValueError(f"{label}: the model has {model.config.num_labels} labels; {remedy}")
    model = model.to(component.bind("runtime", runtime)().device)
    limits = Limits(max_length, context_length(model), on_too_long)
    conversations, names = named(conversation_ids(tokenizer, responses, limits, label))
    score = per_batch(classifier_scores(model, tokenizer.pad_token_id, label))
    return in_rows(names, score_all(score, conversations, batch_size, scored, label))


def preflight(*, path: str, revision: str | None, max_length: int, trust_remote_code: bool) -> None:
    """Check the model's folder without loading its weights. Raises a one-line ValueError."""
    from apm_exp.data.rewards.preflight import check_classifier

    check_classifier(path, revision, max_length, trust_remote_code=trust_remote_code)
