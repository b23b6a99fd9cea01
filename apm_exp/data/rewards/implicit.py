"""Reward source: the implicit reward of a policy, beta times the log-ratio of its responses against a reference."""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field

from apm_exp.core import component
from apm_exp.core.component import UNHASHED
from apm_exp.core.digest import text_digest
from apm_exp.data.rewards.conversation_ids import OnTooLong, chat_tokenizer
from apm_exp.data.rewards.hub_model import config_here as config_here
from apm_exp.data.rewards.hub_model import is_here as is_here
from apm_exp.data.rewards.hub_model import pin as pin
from apm_exp.data.rewards.prompted_ids import PromptedRow, prompted_ids
from apm_exp.data.rewards.sequence_scores import Conversation, Score, score_all
from apm_exp.models.pretrained import folder_of

LANGUAGE_MODEL = True  # plans count its output head


def implicit(
    responses: pa.Table,
    runtime: Mapping[str, Any],
    scored: Path,
    *,
    path: str,
    revision: str | None,
    reference: dict[str, Any],
    beta: Annotated[float, Field(gt=0, allow_inf_nan=False)],
    per_token: bool,
    dtype: Literal["float32", "bfloat16", "float16"],
    batch_size: Annotated[int, Field(gt=0), UNHASHED],
    max_length: Annotated[int, Field(gt=0)],
    on_too_long: OnTooLong = "truncate",
    trust_remote_code: bool,
) -> list[list[float] | None]:
    """Return beta * (log pi(y|x) - log ref(y|x)) of each response, in nats; runs on the runtime's device.

    path: the policy; its chat template and tokenizer serve both models. per_token: divide by the response's number of
    tokens. Both log-probs are those of the forward that scores pairs, over the response and its end token, with the
    prompt of a row computed once. Equal responses to equal prompts are scored once. scored: a folder for the log-probs
    so far, from which a killed attempt resumes. Raises ValueError as prompted_ids, and for a reference with other
    tokens.
    """
    from apm_exp.models.context import context_length

    label = f"reward.path={path}"
    folder = folder_of("reward", path, revision, trust_remote_code)
    tokenizer = chat_tokenizer(folder, label, trust_remote_code)
    models = {"policy": folder, "reference": component.bind("reward.reference", reference)()}
    check_same_tokens(folder, models["reference"], reference, trust_remote_code)
    logps: dict[str, dict[str, float]] = {}
    rows: list[PromptedRow | None] = []
    for name, place in models.items():
        own = (label, trust_remote_code) if name == "policy" else _of_reference(reference)
        model = _load(place, *own, dtype, runtime)
        most = min(max_length, context_length(model) or max_length)
        rows = rows or prompted_ids(tokenizer, responses, most, on_too_long, label)
        _check_room(rows, most, own[0])
        conversations = _conversations(rows, name)
        logps[name] = score_all(_logps(model, rows), conversations, batch_size, scored, label)
        del model  # frees the memory for the other one
    return [row and _rewards(row, logps, beta, per_token) for row in rows]


def _of_reference(reference: Mapping[str, Any]) -> tuple[str, bool]:
    return f"reward.reference.path={reference['path']}", bool(reference["trust_remote_code"])


def _check_room(rows: Sequence[PromptedRow | None], most: int, label: str) -> None:
    """Raise ValueError if a row that the policy accepts is too long for the reference."""
    longest = max((len(row.prompt) + len(ids) for row in rows if row for ids in row.responses), default=0)
    if longest > most:
        problem = f"accepts {most} tokens, and the longest response has {longest} with its prompt"
        raise ValueError(f"{label}: {problem}; set reward.max_length={most}")


def _load(folder: Path, label: str, trust_remote_code: bool, dtype: str, runtime: Mapping[str, Any]) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    from apm_exp.models.load import load_weights

    arguments = {"dtype": getattr(torch, dtype), "trust_remote_code": trust_remote_code}
    model: Any = load_weights(AutoModelForCausalLM, folder, label, **arguments)
    return model.to(component.bind("runtime", runtime)().device)


def _name(model: str, prompt: Sequence[int], response: Sequence[int]) -> str:
    return text_digest(json.dumps([model, list(prompt), list(response)]))


def _conversations(rows: Sequence[PromptedRow | None], model: str) -> dict[str, Conversation]:
    """Return the different responses to score, by a name that differs between the models; equal ones once."""
    different: dict[str, Conversation] = {}
    for index, row in enumerate(rows):
        for ids in row.responses if row else ():
            different.setdefault(_name(model, row.prompt, ids), Conversation([*row.prompt, *ids], index))  # type: ignore[union-attr]
    return different


def _logps(model: Any, rows: Sequence[PromptedRow | None]) -> Score[float]:
    """Return the function that computes the log-probs of a batch, each prompt once for those of its row."""
    import torch

    from apm_exp.models.pair_forward import responses_forward

    def prompted(index: int, members: Sequence[Conversation]) -> tuple[list[int], list[list[int]]]:
        prompt = rows[index].prompt  # type: ignore[union-attr]
        return prompt, [each.ids[len(prompt) :] for each in members]

    @torch.inference_mode()
    def score(batch: Sequence[Conversation]) -> list[float]:
        grouped = [prompted(index, list(members)) for index, members in groupby(batch, key=lambda each: each.row)]
        logp_N, _ = responses_forward(model, grouped)
        result: list[float] = logp_N.tolist()
        return result

    return score


def _rewards(row: PromptedRow, logps: Mapping[str, Mapping[str, float]], beta: float, per_token: bool) -> list[float]:
    rewards = []
    for ids in row.responses:
        policy, reference = (logps[model][_name(model, row.prompt, ids)] for model in ("policy", "reference"))
        rewards.append(beta * (policy - reference) / (len(ids) if per_token else 1))
    return rewards


def check_same_tokens(folder: Path, other: Path, reference: Mapping[str, Any], trust_remote_code: bool) -> None:
    """Raise ValueError if the reference has another tokenizer than the policy."""
    from apm_exp.models.load import tokenizer_from

    label = f"reward.reference.path={reference['path']}"
    own, its = (tokenizer_from(each, label, trust_remote_code).get_vocab() for each in (folder, other))
    if own != its:
        problem = "its tokenizer has other tokens than the policy's, so that their log-probs have no ratio"
        raise ValueError(f"{label}: {problem}; give the model from which the policy was trained")


def forwards(prompt: float, response: float, count: float) -> tuple[float, tuple[float, ...]]:
    """Return the forwards for the responses of a prompt, by both models, and the tokens of each: for plans."""
    return 2, (prompt, *[response] * max(1, round(count)))


def preflight(
    *, path: str, revision: str | None, reference: dict[str, Any], dtype: str, trust_remote_code: bool
) -> None:
    """Check both models' folders without loading their weights. Raises a one-line ValueError."""
    from apm_exp.models.preflight import preflight as check_model

    folder = folder_of("reward", path, revision, trust_remote_code)
    other = component.bind("reward.reference", reference)()
    loaded = {"dtype": dtype, "attention": "auto", "trust_remote_code": trust_remote_code, "chat_template": None}
    for group, place, name in (("reward", folder, path), ("reward.reference", other, reference["path"])):
        try:
            check_model(place, {"path": name, **loaded})
        except ValueError as error:
            raise ValueError(str(error).replace("model.", f"{group}.", 1)) from error
    check_same_tokens(folder, other, reference, trust_remote_code)
