"""Checks of a model folder without loading its weights."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from apm_exp.core.errors import library_error
from apm_exp.core.types import TEMPLATE_DATE, Policy
from apm_exp.models.config_numbers import check_layers, check_shapes, told_of_loading
from apm_exp.models.config_values import check_values, library_problem
from apm_exp.models.load import load_tokenizer
from apm_exp.models.loading import loading
from apm_exp.models.quiet import quiet
from apm_exp.models.tokens.chat_settings import check_variables, settings_of, writes_date
from apm_exp.models.tokens.render import template_of
from apm_exp.models.tokens.turn_end import turn_end

logger = logging.getLogger(__name__)
_SHOWN = 5  # maximum number of names in an error
_PICKLED = ("*.bin", "*.pt", "*.pth")


def preflight(folder: Path, node: Mapping[str, Any]) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Check that the folder has a causal language model, its safetensors and a tokenizer, and that these fit together.

    node: the model's settings (path, dtype, attention, trust_remote_code, chat_template). Raises a one-line ValueError
    that starts with the setting to change. Only the headers of the weights are read. Returns the model without weights
    (on torch's meta device), and the tokenizer.
    """
    label = f"model.path={node.get('path', folder)}"
    config = _config(folder, label)
    _check_architecture(config, label)
    shapes = weight_shapes(folder, label)
    check_layers(config, shapes, label)
    check_values(config, shapes, label)
    policy = Policy(
        folder=folder,
        key="",
        dtype="float32" if node["dtype"] == "auto" else node["dtype"],  # for tensors without storage
        attention=node["attention"],
        trust_remote_code=node["trust_remote_code"],
        chat_template=_template(node["chat_template"]),
        chat_template_kwargs=node.get("chat_template_kwargs"),
        template_date=node.get("template_date", TEMPLATE_DATE),
    )
    model = empty_model(policy, label)
    _check_weights(model, shapes, label)
    tokenizer = load_tokenizer(policy)
    _check_size(model, tokenizer, label)
    _check_template(tokenizer)
    if tokenizer.pad_token is None:
        raise ValueError(
            f"{label}: the tokenizer has neither a pad nor an end token; add one to its tokenizer_config.json"
        )
    return model, tokenizer


def _config(folder: Path, label: str) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        adapter = (folder / "adapter_config.json").is_file()
        remedy = "merge the adapter into its model first" if adapter else "give a Hugging Face model folder"
        raise ValueError(f"{label}: {'an adapter alone' if adapter else 'no config.json'}; {remedy}")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(f"{label}: config.json cannot be read: {library_error(error)}") from error


def _check_architecture(config: dict[str, Any], label: str) -> None:
    """Raise ValueError if the folder states another kind of model, whose head would be initialized randomly.

    An unknown name is only a warning; the weights are then checked by their names.
    """
    own = "AutoModelForCausalLM" in config.get("auto_map", {})
    known = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    named = config.get("architectures") or []
    causal = [name for name in named if name in known or "ForCausalLM" in name or "LMHead" in name]
    if not named or causal or own:
        return
    if any("For" in name or hasattr(transformers, name) for name in named):
        raise ValueError(f"{label}: holds {', '.join(named)}, not a causal language model; its head would be random")
    logger.warning(
        "%s: the architecture %s is not known; it is loaded as what its model_type says", label, ", ".join(named)
    )


def weight_shapes(folder: Path, label: str) -> dict[str, list[int]]:
    """Return the shapes of the tensors in a folder's safetensors files by name, from their headers.

    Raises ValueError if there are none, if one is missing or damaged, or if there are only pickled ones.
    """
    shapes: dict[str, list[int]] = {}
    for file in _weight_files(folder, label):
        try:
            with safe_open(file, framework="pt") as weights:
                shapes |= {name: weights.get_slice(name).get_shape() for name in weights.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"{label}: {file.name} is damaged or missing ({library_error(error)}); fetch it again"
            ) from error
    return shapes


def _weight_files(folder: Path, label: str) -> list[Path]:
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if single.is_file():
        return [single]
    if index.is_file():
        try:
            return [folder / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise ValueError(f"{label}: {index.name} cannot be read: {library_error(error)}") from error
    if pickled := sorted(file.name for pattern in _PICKLED for file in folder.glob(pattern)):
        remedy = "convert them: load the model you trust and call save_pretrained, which writes safetensors"
        raise ValueError(f"{label}: only pickled weights ({pickled[0]}), and nothing is unpickled here; {remedy}")
    raise ValueError(f"{label}: no weights (model.safetensors); give a folder that holds the model's weights")


def _template(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ValueError(f"model.chat_template={path}: cannot be read: {library_error(error)}") from error


def _check_template(tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that the template ends a response and uses its variables; log the date that a template writes."""
    template = template_of(tokenizer)
    check_variables(tokenizer, template)
    turn_end(tokenizer)
    if writes_date(template):
        day = settings_of(tokenizer).day
        logger.info("model.template_date=%s: the chat template writes the date, and takes this day for today", day)


def empty_model(policy: Policy, label: str) -> PreTrainedModel:
    """Return the model without weights: only names and shapes. Fails if the attention is not available."""
    arguments = loading(
        dtype=policy.dtype,  # type: ignore[arg-type]
        attention=policy.attention,
        trust_remote_code=policy.trust_remote_code,
        chat_template=None,
    )
    trust = {"trust_remote_code": policy.trust_remote_code}
    try:
        with quiet(), torch.device("meta"):
            config = AutoConfig.from_pretrained(policy.folder, local_files_only=True, **trust)
            return AutoModelForCausalLM.from_config(config, **arguments)
    except Exception as error:  # a number in config.json may lead to any error
        raise ValueError(f"{label}: {library_problem(error, policy.folder)}") from error


def _check_weights(model: PreTrainedModel, shapes: Mapping[str, Sequence[int]], label: str) -> None:
    """Check that all weights are in the folder or tied to one that is; loading would initialize others randomly."""
    told = told_of_loading(model, shapes)
    check_shapes(told, label)
    missing = sorted(told.get("missing_keys", ()))
    head = next((name for name, module in model.named_modules() if module is model.get_output_embeddings()), None)
    if head is not None and f"{head}.weight" in missing:
        problem = f"lacks {head}.weight, so the model's head would be random"
        raise ValueError(f"{label}: the folder {problem}; give a complete model")
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        problem = f"lacks {', '.join(missing[:_SHOWN])}{more}, which would be random"
        raise ValueError(f"{label}: the folder {problem}; give a complete model")


def _check_size(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, label: str) -> None:
    rows = len(model.get_input_embeddings().weight)  # type: ignore[arg-type]
    ids = max(tokenizer.get_vocab().values(), default=-1) + 1
    if ids > rows:
        remedy = "give the model's own tokenizer, or resize the model's embedding"
        raise ValueError(f"{label}: the tokenizer has ids up to {ids - 1}, the embedding {rows} rows; {remedy}")
