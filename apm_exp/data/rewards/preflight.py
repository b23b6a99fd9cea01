"""Checks of a reward model's folder without loading its weights."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from apm_exp.core.types import Message, Refusal
from apm_exp.models.config_numbers import check_layers, check_shapes, told_of_loading
from apm_exp.models.config_values import check_values, library_problem
from apm_exp.models.context import context_length
from apm_exp.models.load import tokenizer_from
from apm_exp.models.preflight import weight_shapes
from apm_exp.models.pretrained import folder_of
from apm_exp.models.quiet import quiet
from apm_exp.models.tokens.probe import LETTER
from apm_exp.models.tokens.render import chat_text, token_ids

_TEMPLATE = "add one to the folder as chat_template.jinja"
_ARMORM = "LlamaForRewardModelWithGating"  # without its code it is a plain classifier with a random head


def check_folder(path: str, revision: str | None, max_length: int, *, trust_remote_code: bool) -> None:
    """Check that reward.path names a classifier with one label, its weights and a tokenizer with a chat template.

    The settings are those of `classifier`. Only the headers of the weights are read. Raises a one-line ValueError that
    starts with the setting to change.
    """
    label, trust = f"reward.path={path}", trust_remote_code
    folder = folder_of("reward", path, revision, trust)
    if not (folder / "config.json").is_file():
        raise ValueError(f"{label}: no config.json; use the folder of a reward model")
    if _ARMORM in (_config(folder).get("architectures") or []):
        remedy = "use another reward model, or reward=recorded with data that have its rewards"
        raise ValueError(f"{label}: ArmoRM cannot be loaded: its own code needs transformers before 4.52; {remedy}")
    shapes = weight_shapes(folder, label)
    check_layers(_config(folder), shapes, label)
    check_values(_config(folder), shapes, label)
    model = _classifier(folder, label, trust)
    told = told_of_loading(model, shapes)
    check_shapes(told, label)
    if lacking := sorted(set(told.get("missing_keys", ())) & _head_names(model)):
        problem = f"the folder lacks {', '.join(lacking[:5])}, so the reward model's head would be random"
        raise ValueError(f"{label}: {problem}; {_remedy(folder)}")
    tokenizer = tokenizer_from(folder, label, trust)
    if not tokenizer.chat_template:
        raise ValueError(f"{label}: its tokenizer has no chat template; {_TEMPLATE}")
    text = chat_text(tokenizer, [*LETTER, Message(role="assistant", content="b")], generation_prompt=False)
    if isinstance(text, Refusal):
        problem = f"its chat template does not accept a user's and an assistant's turn: {text.detail}"
        raise ValueError(f"{label}: {problem}; {_TEMPLATE}")
    count, most = len(token_ids(tokenizer, [text])[0]), context_length(model)
    if most is not None and min(count, max_length) > most:
        raise ValueError(f"{label}: accepts {most} tokens, but the shortest conversation has {count}; use another")


def _config(folder: Path) -> dict[str, Any]:
    """Return the content of config.json; empty if it cannot be read, for which _classifier raises later."""
    try:
        return dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _remedy(folder: Path) -> str:
    """Return the remedy for weights whose head transformers does not know."""
    if "AutoModelForSequenceClassification" in (_config(folder).get("auto_map") or {}):
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


def _head_names(model: PreTrainedModel) -> set[str]:
    """Return the names of the weights outside the backbone."""
    return {name for name, _ in model.named_parameters() if not name.startswith(f"{model.base_model_prefix}.")}
