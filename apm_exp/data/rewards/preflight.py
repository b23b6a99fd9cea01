"""Checks of a reward model's folder without loading its weights."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from apm_exp.core.types import Message, Refusal
from apm_exp.data.rewards.armorm_gate import gate_ids, needed
from apm_exp.data.rewards.compared_texts import check_marks
from apm_exp.data.rewards.conversation_ids import chat_tokenizer
from apm_exp.models.armorm import ArmoRM
from apm_exp.models.config_numbers import check_layers, check_shapes, told_of_loading
from apm_exp.models.config_values import check_values, library_problem
from apm_exp.models.context import context_length
from apm_exp.models.load import tokenizer_from
from apm_exp.models.pairrm import PairRM
from apm_exp.models.preflight import weight_shapes
from apm_exp.models.pretrained import folder_of
from apm_exp.models.quiet import quiet
from apm_exp.models.tokens.probe import LETTER
from apm_exp.models.tokens.render import chat_text, token_ids

_TEMPLATE = "add one to the folder as chat_template.jinja"
# architectures that load as a plain classifier with a random head, and the sources that know them
_OWN_SOURCES = {"LlamaForRewardModelWithGating": "armorm", "DebertaV2PairRM": "pairrm"}


def check_classifier(path: str, revision: str | None, max_length: int, *, trust_remote_code: bool) -> None:
    """Check that reward.path names a classifier with one label, its weights and a tokenizer with a chat template.

    The settings are those of `classifier`. Only the headers of the weights are read. Raises a one-line ValueError that
    starts with the setting to change.
    """
    label, folder = f"reward.path={path}", folder_of("reward", path, revision, trust_remote_code)
    for architecture, source in _OWN_SOURCES.items():
        if architecture in (config_of(folder).get("architectures") or []):
            problem = f"{architecture} is no plain classifier, so its head would be random"
            raise ValueError(f"{label}: {problem}; use reward={source}")
    shapes = tensors(folder, label)
    model = _classifier(folder, label, trust_remote_code)
    check_head(model, shapes, label, _remedy(folder))
    _, ids = _chat(folder, label, trust_remote_code)
    check_room(len(ids), max_length, context_length(model), label)


def check_armorm(path: str, revision: str | None, max_length: int) -> None:
    """Check that reward.path names ArmoRM, with its head's tensors and its tokenizer; as check_classifier."""
    label, folder = f"reward.path={path}", folder_of("reward", path, revision, False)
    shapes = tensors(folder, label)
    model = empty_model(ArmoRM, folder, label)
    check_head(model, shapes, label, "use a checkpoint of ArmoRM, or reward=classifier for a plain classifier")
    tokenizer, ids = _chat(folder, label, False)
    needed(gate_ids(tokenizer, label), label, ids)
    check_room(len(ids), max_length, context_length(model), label)


def check_pairrm(path: str, revision: str | None) -> None:
    """Check that reward.path names PairRM, with its head's tensors and its tokenizer; as check_classifier."""
    label, folder = f"reward.path={path}", folder_of("reward", path, revision, False)
    shapes = tensors(folder, label)
    model = empty_model(PairRM, folder, label)
    check_head(model, shapes, label, "use a checkpoint of PairRM-hf, or reward=classifier for a plain classifier")
    check_marks(tokenizer_from(folder, label, False), model.config, label)


def tensors(folder: Path, label: str) -> dict[str, list[int]]:
    """Return the shapes of a folder's tensors by name, after config.json was compared with them."""
    if not (folder / "config.json").is_file():
        raise ValueError(f"{label}: no config.json; use the folder of a reward model")
    shapes = weight_shapes(folder, label)
    check_layers(config_of(folder), shapes, label)
    check_values(config_of(folder), shapes, label)
    return shapes


def check_head(model: PreTrainedModel, shapes: Mapping[str, Sequence[int]], label: str, remedy: str) -> None:
    """Raise ValueError, with the names, if a tensor has another shape, or one of the head is not in the folder."""
    told = told_of_loading(model, shapes)
    check_shapes(told, label)
    if lacking := sorted(set(told.get("missing_keys", ())) & _head_names(model)):
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        problem = f"the folder lacks {', '.join(lacking[:5])}{more}, so the reward model's head would be random"
        raise ValueError(f"{label}: {problem}; {remedy}")


def _chat(folder: Path, label: str, trust_remote_code: bool) -> tuple[PreTrainedTokenizerBase, list[int]]:
    """Return the tokenizer, and the tokens of the shortest conversation."""
    tokenizer = chat_tokenizer(folder, label, trust_remote_code)
    text = chat_text(tokenizer, [*LETTER, Message(role="assistant", content="b")], generation_prompt=False)
    if isinstance(text, Refusal):
        problem = f"its chat template does not accept a user's and an assistant's turn: {text.detail}"
        raise ValueError(f"{label}: {problem}; {_TEMPLATE}")
    return tokenizer, token_ids(tokenizer, [text])[0]


def check_room(count: int, max_length: int, most: int | None, label: str) -> None:
    """Raise ValueError if the model does not take the shortest conversation, of `count` tokens."""
    if most is not None and min(count, max_length) > most:
        raise ValueError(f"{label}: accepts {most} tokens, but the shortest conversation has {count}; use another")


def config_of(folder: Path) -> dict[str, Any]:
    """Return the content of config.json; empty if it cannot be read, for which _classifier raises later."""
    try:
        return dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _remedy(folder: Path) -> str:
    """Return the remedy for weights whose head transformers does not know."""
    if "AutoModelForSequenceClassification" in (config_of(folder).get("auto_map") or {}):
        return "it has its own code: set reward.trust_remote_code=true, if you trust it"
    return "use a sequence classifier"


def _classifier(folder: Path, label: str, trust_remote_code: bool) -> PreTrainedModel:
    """Return the model without its weights. Raises ValueError if it does not have exactly one label."""
    try:
        with quiet(), torch.device("meta"):
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
            model = AutoModelForSequenceClassification.from_config(config, trust_remote_code=trust_remote_code)
    except Exception as error:  # a wrong value in config.json can raise anything
        raise ValueError(f"{label}: {library_problem(error, folder)}") from error
    if model.config.num_labels != 1:
        if language := [
            name for name in model.config.architectures or [] if name.endswith(("ForCausalLM", "LMHeadModel"))
        ]:
            problem = f"{language[0]} is a language model and no classifier, so it gives no rewards"
            raise ValueError(f"{label}: {problem}; give a reward model, a sequence classifier with one label")
        raise ValueError(f"{label}: the model has {model.config.num_labels} labels; use a reward model with one")
    return model


def empty_model(model_class: type[PreTrainedModel], folder: Path, label: str) -> PreTrainedModel:
    """Return a model of this class without its weights."""
    try:
        with quiet(), torch.device("meta"):
            return model_class(AutoConfig.from_pretrained(folder, local_files_only=True))
    except Exception as error:  # a wrong value in config.json can raise anything
        raise ValueError(f"{label}: {library_problem(error, folder)}") from error


def _head_names(model: PreTrainedModel) -> set[str]:
    """Return the names of the weights outside the backbone."""
    return {name for name, _ in model.named_parameters() if not name.startswith(f"{model.base_model_prefix}.")}
