"""Loading tokenizers and weights from a local folder: safetensors only, and never with invented weights."""

import logging
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from apm_exp.core.errors import library_error
from apm_exp.core.types import Policy
from apm_exp.models.loading import loading
from apm_exp.models.quiet import quiet
from apm_exp.models.tokens.chat_settings import ChatSettings

logger = logging.getLogger(__name__)
_NAMES_SHOWN = 5
_TRANSFORMERS_ERRORS = (OSError, ValueError, ImportError, RuntimeError, KeyError, TypeError, AttributeError)


def load_tokenizer(policy: Policy) -> PreTrainedTokenizerBase:
    """The tokenizer of a policy, with the policy's chat template where it brings one, and what templates are given.

    A tokenizer without a pad token pads with its end token: padding is always masked, so the choice has no effect
    on a causal model. Raises a one-line ValueError where there is no usable tokenizer.
    """
    tokenizer = tokenizer_from(policy.folder, f"model.path={policy.folder}", policy.trust_remote_code)
    if policy.chat_template is not None:
        tokenizer.chat_template = policy.chat_template
    tokenizer.chat_settings = ChatSettings(policy.chat_template_kwargs or {}, policy.template_date)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def tokenizer_from(folder: Path, label: str, trust_remote_code: bool) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder; `label` ("model.path=...") opens the message of the ValueError."""
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True)
    except _TRANSFORMERS_ERRORS as error:
        raise ValueError(f"{label}: its tokenizer cannot be loaded: {library_error(error)}") from error


def load_model(policy: Policy, device: str, **more: Any) -> PreTrainedModel:
    """The causal language model of a policy on a device, in evaluation mode. more: for from_pretrained.

    Raises ValueError where weights are missing or have another shape (see load_weights).
    """
    arguments = loading(
        dtype=policy.dtype,  # type: ignore[arg-type]
        attention=policy.attention,
        trust_remote_code=policy.trust_remote_code,
        chat_template=policy.chat_template,
        chat_template_kwargs=None,
        template_date=policy.template_date,
    )
    model = load_weights(AutoModelForCausalLM, policy.folder, f"model.path={policy.folder}", **arguments, **more)
    model.pair_attention = policy.attention  # type: ignore[assignment]
    return model.to(device)  # type: ignore[arg-type]


def load_weights(auto_class: Any, folder: Path, label: str, **arguments: Any) -> PreTrainedModel:
    """A model of `auto_class` from a folder's safetensors files, in evaluation mode on the CPU.

    transformers gives random values to weights that a folder lacks and only reports it. That is an error here:
    ValueError, with `label` and the names of the missing weights and of those of another shape. Tied weights are
    stored once and are not missing.
    """
    safe = {"local_files_only": True, "use_safetensors": True, "ignore_mismatched_sizes": True}
    try:
        with quiet():
            model, found = auto_class.from_pretrained(folder, output_loading_info=True, **safe, **arguments)
    except _TRANSFORMERS_ERRORS as error:
        raise ValueError(f"{label}: its weights cannot be loaded: {library_error(error)}") from error
    _refuse_random(label, type(model).__name__, found)
    return model.eval()


def _refuse_random(label: str, model_class: str, found: dict[str, Any]) -> None:
    missing = sorted(found["missing_keys"])
    mismatched = [
        f"{name} {tuple(held)} for {tuple(needed)}" for name, held, needed in sorted(found["mismatched_keys"])
    ]
    for problem, names in (("lacks", missing), ("has in another shape", mismatched)):
        if names:
            raise ValueError(
                f"{label}: the folder {problem} {_listed(names)}, which {model_class} would start with random "
                "values; give a folder that was saved from this kind of model"
            )
    if unused := sorted(found["unexpected_keys"]):
        logger.warning("%s: %s does not use %s", label, model_class, _listed(unused))


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
