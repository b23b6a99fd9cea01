"""Loading of tokenizers and weights from a local folder: safetensors only, and without randomly initialized weights."""

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
    """Load the tokenizer of a policy, with the policy's chat template, if it has one, and its template settings.

    A tokenizer without a pad token uses its end token: padding is always masked, so the choice has no effect on a
    causal model. Raises a one-line ValueError if the folder has no usable tokenizer.
    """
    tokenizer = tokenizer_from(policy.folder, f"model.path={policy.folder}", policy.trust_remote_code)
    if policy.chat_template is not None:
        tokenizer.chat_template = policy.chat_template
    tokenizer.chat_settings = ChatSettings(policy.chat_template_kwargs or {}, policy.template_date)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def tokenizer_from(folder: Path, label: str, trust_remote_code: bool) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a folder; `label` ("model.path=...") starts the message of the ValueError."""
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True)
    except _TRANSFORMERS_ERRORS as error:
        raise ValueError(f"{label}: its tokenizer cannot be loaded: {library_error(error)}") from error


def load_model(policy: Policy, device: str, **more: Any) -> PreTrainedModel:
    """Load the causal language model of a policy to a device, in evaluation mode. more: passed to from_pretrained.

    Raises ValueError if weights are missing or have another shape (see load_weights).
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
    """Load a model of `auto_class` from a folder's safetensors files, in evaluation mode on the CPU.

    transformers initializes missing weights randomly and only reports it. Here it is a ValueError with `label` and the
    names of the weights that are missing or have another shape. Tied weights are stored once and do not count as
    missing.
    """
    safe = {"local_files_only": True, "use_safetensors": True, "ignore_mismatched_sizes": True}
    try:
        with quiet():
            model, loading_info = auto_class.from_pretrained(folder, output_loading_info=True, **safe, **arguments)
    except _TRANSFORMERS_ERRORS as error:
        raise ValueError(f"{label}: its weights cannot be loaded: {library_error(error)}") from error
    _refuse_random(label, type(model).__name__, loading_info)
    return model.eval()


def _refuse_random(label: str, model_class: str, loading_info: dict[str, Any]) -> None:
    missing = sorted(loading_info["missing_keys"])
    mismatched = [
        f"{name} {tuple(held)} for {tuple(needed)}" for name, held, needed in sorted(loading_info["mismatched_keys"])
    ]
    for problem, names in (("lacks", missing), ("has in another shape", mismatched)):
        if names:
            raise ValueError(
                f"{label}: the folder {problem} {_listed(names)}, which {model_class} would initialize "
                "randomly; use a folder that was saved from this model class"
            )
    if unused := sorted(loading_info["unexpected_keys"]):
        logger.warning("%s: %s does not use %s", label, model_class, _listed(unused))


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
