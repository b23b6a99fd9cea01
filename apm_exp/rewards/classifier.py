"""Reward source: a reward model that is a sequence classifier with one label."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field

from apm_exp import component
from apm_exp.component import UNHASHED
from apm_exp.digest import text_digest
from apm_exp.messages import read_messages, read_responses, text_of
from apm_exp.models.pretrained import folder_of
from apm_exp.progress import track
from apm_exp.shards import read_shards, record
from apm_exp.tokens.render import chat_text, token_ids
from apm_exp.types import Message, Refusal

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)
_ROWS_AT_ONCE = 1000


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
    trust_remote_code: bool,
) -> list[list[float]]:
    """The reward model's score of each response to its prompt, reward units; runs on the runtime's device.

    The conversation is written by the reward model's own chat template; of one with more than max_length tokens the
    end is lost, which is counted in a warning. Equal conversations are scored once. scored: a folder for what has been
    scored so far, from which a killed attempt goes on. Raises ValueError where the model has another number of labels,
    where memory does not suffice for one response, or where its head would be random: a class that transformers does
    not know loads as a plain classifier with an untrained head (ArmoRM without its own code does).
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    from apm_exp.models.load import load_weights, tokenizer_from

    label = f"reward.path={path}"
    folder = folder_of("reward", path, revision, trust_remote_code)
    tokenizer = tokenizer_from(folder, label, trust_remote_code)
    arguments = {"dtype": getattr(torch, dtype), "trust_remote_code": trust_remote_code}
    model = load_weights(AutoModelForSequenceClassification, folder, label, **arguments)
    if model.config.num_labels != 1:
        remedy = "give a reward model with one"
        raise ValueError(f"{label}: the model has {model.config.num_labels} labels; {remedy}")
    model = model.to(component.bind("runtime", runtime)().device)
    ids = _token_ids(tokenizer, responses, label)
    _warn_of_cut(ids, max_length, label)
    ids = [each[:max_length] for each in ids]
    names = [text_digest(json.dumps(each)) for each in ids]
    rewards = _scores(model, dict(zip(names, ids, strict=True)), tokenizer.pad_token_id, batch_size, scored, label)
    in_order = iter(names)
    return [[rewards[next(in_order)] for _ in row] for row in responses["responses"].to_pylist()]


def _token_ids(tokenizer: "PreTrainedTokenizerBase", responses: pa.Table, label: str) -> list[list[int]]:
    """The tokens of each response with its prompt, row after row."""
    ids: list[list[int]] = []
    for start in range(0, len(responses), _ROWS_AT_ONCE):
        rows = responses.slice(start, _ROWS_AT_ONCE).to_pylist()
        texts = [text for row in rows for text in _texts(tokenizer, row, label)]
        ids += token_ids(tokenizer, texts)
    return ids


def _texts(tokenizer: "PreTrainedTokenizerBase", row: Mapping[str, Any], label: str) -> list[str]:
    """The conversation with each response of a row."""
    prompt = read_messages(row["prompt"])
    answers = read_responses(row["responses"], row.get("response_extras"))
    if row.get("tools"):
        raise ValueError(f"{label}: rows have tools, which the reward model is not told; take another reward source")
    return [_text(tokenizer, prompt, answer, label) for answer in answers]


def _text(tokenizer: "PreTrainedTokenizerBase", prompt: list[Message], answer: Message, label: str) -> str:
    if not tokenizer.chat_template:
        raise ValueError(f"{label}: its tokenizer has no chat template; add one to the folder as chat_template.jinja")
    text = chat_text(tokenizer, [*prompt, answer], generation_prompt=False)
    if isinstance(text, Refusal):
        start = f"prompt starting {text_of(prompt[-1])[:60]!r}"
        raise ValueError(f"{label}: its chat template does not take the conversation ({start}): {text.detail}")
    return text


def _warn_of_cut(ids: list[list[int]], max_length: int, label: str) -> None:
    cut = sum(len(each) > max_length for each in ids)
    if cut:
        logger.warning(
            "%s: %d of %d responses have more than reward.max_length=%d tokens and were scored without their end",
            *(label, cut, len(ids), max_length),
        )


def _scores(
    model: "PreTrainedModel", ids: Mapping[str, list[int]], pad: int | None, batch_size: int, scored: Path, label: str
) -> dict[str, float]:
    """The score of each token sequence by its name; those that an earlier attempt has left in `scored` are taken."""
    from apm_exp.rewards.sequence_scores import form_batches, score_batches

    names, sequences, known = list(ids), list(ids.values()), read_shards(scored)
    if known:
        logger.info("%d of %d different responses were scored before", len(known), len(names))
    batches = form_batches(sequences, names, known.keys(), batch_size)
    new = record(score_batches(model, sequences, batches, pad, label), names, scored)
    each = track((item for batch in new for item in batch), "rewards: responses", sum(map(len, batches)))
    return {name: score for name, (score,) in known.items()} | {names[index]: score for index, score in each}
