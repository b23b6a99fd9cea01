"""Reward source: a reward model that is a sequence classifier with one label."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field

from apm_exp import component
from apm_exp.component import UNHASHED
from apm_exp.models.pretrained import folder_of
from apm_exp.progress import track
from apm_exp.tokens.render import chat_text, token_ids
from apm_exp.types import Message, Refusal

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)
_ROWS_AT_ONCE = 1000


def classifier(
    responses: pa.Table,
    runtime: Mapping[str, Any],
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
    end is lost, which is counted in a warning. Raises ValueError where the model has another number of labels, or
    its head would be random: a class that transformers does not know loads as a plain classifier with an untrained
    head (ArmoRM without its own code does).
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
    scores = iter(_scores(model, [each[:max_length] for each in ids], tokenizer.pad_token_id, batch_size))
    return [[next(scores) for _ in row] for row in responses["responses"].to_pylist()]


def _token_ids(tokenizer: "PreTrainedTokenizerBase", responses: pa.Table, label: str) -> list[list[int]]:
    """The tokens of each response with its prompt, row after row."""
    ids: list[list[int]] = []
    for start in range(0, len(responses), _ROWS_AT_ONCE):
        rows = responses.slice(start, _ROWS_AT_ONCE).select(["prompt", "responses"]).to_pylist()
        texts = [_text(tokenizer, row["prompt"], answer, label) for row in rows for answer in row["responses"]]
        ids += token_ids(tokenizer, texts)
    return ids


def _text(tokenizer: "PreTrainedTokenizerBase", prompt: list[Message], answer: str, label: str) -> str:
    if not tokenizer.chat_template:
        raise ValueError(f"{label}: its tokenizer has no chat template; add one to the folder as chat_template.jinja")
    text = chat_text(tokenizer, [*prompt, Message(role="assistant", content=answer)], generation_prompt=False)
    if isinstance(text, Refusal):
        start = f"prompt starting {prompt[-1]['content'][:60]!r}"
        raise ValueError(f"{label}: its chat template does not take the conversation ({start}): {text.detail}")
    return text


def _warn_of_cut(ids: list[list[int]], max_length: int, label: str) -> None:
    cut = sum(len(each) > max_length for each in ids)
    if cut:
        logger.warning(
            "%s: %d of %d responses have more than reward.max_length=%d tokens and were scored without their end",
            *(label, cut, len(ids), max_length),
        )


def _scores(model: "PreTrainedModel", ids: list[list[int]], pad: int | None, batch_size: int) -> list[float]:
    """The score of each token sequence, scored in batches of similar length."""
    by_length = sorted(range(len(ids)), key=lambda index: -len(ids[index]))  # longest first: memory runs out at once
    batches = [by_length[start : start + batch_size] for start in range(0, len(ids), batch_size)]
    scores = [0.0] * len(ids)
    for batch in track(batches, f"rewards: batches of {batch_size} responses", len(batches)):
        for index, score in zip(batch, _batch_scores(model, [ids[index] for index in batch], pad), strict=True):
            scores[index] = score
    return scores


def _batch_scores(model: "PreTrainedModel", ids: list[list[int]], pad: int | None) -> Iterator[float]:
    """The model's only logit for each sequence, padded on the right.

    Decoder classifiers read the last token that is not the pad id, so a pad id that a text contains (pad = end token)
    moves the place that is read. Padding is masked: any id that no text of the batch contains marks the end.
    """
    import torch

    pad = _free_id(ids, pad)
    for config in (model.config, model.config.get_text_config()):
        config.pad_token_id = pad
    longest = max(len(each) for each in ids)
    padded = torch.tensor([each + [pad] * (longest - len(each)) for each in ids])
    mask = torch.tensor([[1] * len(each) + [0] * (longest - len(each)) for each in ids])
    with torch.inference_mode():
        logits = model(input_ids=padded.to(model.device), attention_mask=mask.to(model.device)).logits
    return iter(logits[:, 0].float().tolist())


def _free_id(ids: Sequence[Sequence[int]], pad: int | None) -> int:
    """The pad id if no sequence contains it, else the first id that none contains."""
    used = set().union(*ids)
    return pad if pad is not None and pad not in used else next(id for id in count() if id not in used)
