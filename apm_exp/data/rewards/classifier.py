"""Reward source: a reward model that is a sequence classifier with one label."""

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from apm_exp.core import component
from apm_exp.core.component import UNHASHED
from apm_exp.core.console import track
from apm_exp.core.digest import text_digest
from apm_exp.core.results_file import read_results, record
from apm_exp.core.types import Refusal
from apm_exp.data.rewards.conversations import conversations
from apm_exp.models.pretrained import commit_of, folder_of
from apm_exp.models.pretrained import config_here as model_config_here
from apm_exp.models.pretrained import is_here as model_is_here
from apm_exp.models.tokens.control import control_pattern
from apm_exp.models.tokens.render import CUT, token_ids

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
) -> list[list[float] | None]:
    """Return the reward model's score of each response to its prompt, in reward units; runs on the runtime's device.

    Conversations are rendered with the reward model's own chat template. A row has no rewards (None) if the template
    fails for it, or if a response is longer than the model's positions. Conversations are truncated to max_length
    tokens, and control tokens in their text are tokenized as plain text. All of these are counted in warnings. Equal
    conversations are scored once. scored: a folder for the scores so far, from which a killed attempt resumes.

    Raises ValueError if the template fails for all rows, if the model does not have exactly one label, if one response
    alone does not fit into memory, or if the model's head would be random: a class that transformers does not know
    loads as a plain classifier with an untrained head (as ArmoRM without its own code).
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    from apm_exp.models.context import context_length
    from apm_exp.models.load import load_weights, tokenizer_from

    label = f"reward.path={path}"
    folder = folder_of("reward", path, revision, trust_remote_code)
    tokenizer = tokenizer_from(folder, label, trust_remote_code)
    if not tokenizer.chat_template:
        raise ValueError(f"{label}: its tokenizer has no chat template; add one to the folder as chat_template.jinja")
    arguments = {"dtype": getattr(torch, dtype), "trust_remote_code": trust_remote_code}
    model = load_weights(AutoModelForSequenceClassification, folder, label, **arguments)
    if model.config.num_labels != 1:
        remedy = "use a reward model with one"
        raise ValueError(f"{label}: the model has {model.config.num_labels} labels; {remedy}")
    model = model.to(component.bind("runtime", runtime)().device)
    most = context_length(model)
    ids, taken = _token_ids(tokenizer, responses, label, most if most is not None and most < max_length else None)
    _warn_of_cut(ids, max_length, label)
    ids = [each[:max_length] for each in ids]
    names = [text_digest(json.dumps(each)) for each in ids]
    rewards = _scores(model, dict(zip(names, ids, strict=True)), tokenizer.pad_token_id, batch_size, scored, label)
    in_order, counts = iter(names), pc.list_value_length(responses["responses"]).to_pylist()
    rows = zip(counts, taken, strict=True)
    return [[rewards[next(in_order)] for _ in range(count)] if is_taken else None for count, is_taken in rows]


def pin(*, path: str, revision: str | None, trust_remote_code: bool) -> dict[str, Any]:
    """Return the commit of a model on the Hub as `revision`; it is downloaded if not cached. Raises as folder_of."""
    if Path(path).expanduser().is_dir():
        return {}
    return {"revision": commit_of(folder_of("reward", path, revision, trust_remote_code))}


def is_here(*, path: str, revision: str | None) -> bool:
    """Return whether the model can be loaded without a download."""
    return model_is_here(path=path, revision=revision)


def config_here(*, path: str, revision: str | None) -> Path | None:
    """Return a folder with the model's config.json, without a download; None if there is none."""
    return model_config_here(path=path, revision=revision)


def preflight(*, path: str, revision: str | None, max_length: int, trust_remote_code: bool) -> None:
    """Check the model's folder without loading its weights. Raises a one-line ValueError."""
    from apm_exp.data.rewards.preflight import check_folder

    check_folder(path, revision, max_length, trust_remote_code=trust_remote_code)


def _token_ids(
    tokenizer: "PreTrainedTokenizerBase", responses: pa.Table, label: str, most: int | None
) -> tuple[list[list[int]], list[bool]]:
    """Return the tokens of each response with its prompt, of all accepted rows, and whether each row is accepted.

    A row is not accepted if the template fails for it, or if a response has more than `most` tokens.
    """
    ids: list[list[int]] = []
    taken: list[bool] = []
    refused: list[str] = []
    longer: list[int] = []
    pattern, spelled = control_pattern(tokenizer), 0
    for start in range(0, len(responses), _ROWS_AT_ONCE):
        rows = [conversations(tokenizer, pattern, row) for row in responses.slice(start, _ROWS_AT_ONCE).to_pylist()]
        written = [texts for texts in rows if not isinstance(texts, Refusal)]
        tokens = iter(token_ids(tokenizer, [text for texts in written for text in texts]))
        for texts in rows:
            own = [] if isinstance(texts, Refusal) else [next(tokens) for _ in texts]
            too_long = most is not None and any(len(each) > most for each in own)
            taken.append(not isinstance(texts, Refusal) and not too_long)
            longer += [max(map(len, own))] if too_long else []
            ids += own if taken[-1] else []
        refused += [texts.detail for texts in rows if isinstance(texts, Refusal)]
        spelled += sum(CUT in text for texts in written for text in texts)
    _say_refused(refused, len(responses), label)
    if spelled:
        problem = "conversations contain a control token of the reward model, which is tokenized as plain text"
        logger.warning("%s: %d %s", label, spelled, problem)
    if longer and most is not None:
        _say_longer(longer, len(responses), most, label)
    return ids, taken


def _say_refused(refused: list[str], rows: int, label: str) -> None:
    problem = f"{label}: its chat template does not accept"
    if refused and len(refused) == rows:
        raise ValueError(f"{problem} any of the {rows} conversations, the first: {refused[0]}")
    if refused:
        logger.warning("%s %d of %d conversations, the first: %s", problem, len(refused), rows, refused[0])


def _warn_of_cut(ids: list[list[int]], max_length: int, label: str) -> None:
    cut = sum(len(each) > max_length for each in ids)
    if cut:
        logger.warning(
            "%s: %d of %d responses have more than reward.max_length=%d tokens and were truncated",
            *(label, cut, len(ids), max_length),
        )


def _say_longer(longer: list[int], rows: int, most: int, label: str) -> None:
    """Warn of rows without rewards because a response is longer than the model's positions; raise if these are all."""
    problem = f"{label}: {len(longer)} of {rows} conversations are longer (up to {max(longer)} tokens) than the model's"
    problem += f" {most} positions and have no reward; reward.max_length={most} truncates and scores them"
    if len(longer) == rows:
        raise ValueError(problem)
    logger.warning("%s", problem)


def _scores(
    model: "PreTrainedModel", ids: Mapping[str, list[int]], pad: int | None, batch_size: int, scored: Path, label: str
) -> dict[str, float]:
    """Return the score of each token sequence by its name; those that an earlier attempt has saved are reused."""
    from apm_exp.data.rewards.sequence_scores import form_batches, score_batches

    names, sequences, known = list(ids), list(ids.values()), dict(read_results(scored))
    if known:
        logger.info("%d of %d different responses were scored before", len(known), len(names))
    batches = form_batches(sequences, names, known.keys(), batch_size)
    new = record(score_batches(model, sequences, batches, pad, label), partial(_named, names), scored)
    each = track((item for batch in new for item in batch), "rewards: responses", sum(map(len, batches)))
    return known | {names[index]: score for index, score in each}


def _named(names: Sequence[str], batch: Sequence[tuple[int, float]]) -> dict[str, float]:
    return {names[index]: score for index, score in batch}
