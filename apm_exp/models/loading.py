"""The settings that every model node has besides those of its own component: how the weights are loaded."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from apm_exp.core.types import TEMPLATE_DATE
from apm_exp.models.tokens.chat_settings import is_day


def loading(
    *,
    dtype: Literal["auto", "float32", "bfloat16", "float16"],
    attention: str,
    trust_remote_code: bool,
    chat_template: str | None,
    chat_template_kwargs: dict[str, Any] | None = None,
    template_date: Annotated[str, AfterValidator(is_day)] = TEMPLATE_DATE,
) -> dict[str, Any]:
    """Return the arguments of `from_pretrained` for the settings that every model node has.

    dtype "auto" lets transformers choose. An attention that shares prompts (OF_PAIRS) is not passed, as it is set later
    (pair_forward.accept_responses). The chat_template settings and template_date concern the tokenizer: see
    load_tokenizer.
    """
    import torch

    arguments: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    arguments["dtype"] = dtype if dtype == "auto" else getattr(torch, dtype)
    if (own := of_transformers(attention)) is not None:
        arguments["attn_implementation"] = own
    return arguments


# these share a pair's prompt; any other name is an implementation of transformers, with padding
OF_PAIRS = ("auto", "segments", "flex")
_EVERYWHERE = ("auto", "segments", "sdpa", "eager")


def in_key(attention: str) -> str:
    """Return an attention's part of an artifact's key: `auto` and those that share prompts differ by rounding only."""
    return "shared" if attention in OF_PAIRS else attention


def of_transformers(attention: str) -> str | None:
    """Return the attn_implementation with which a model is loaded; None lets transformers choose."""
    return None if attention in OF_PAIRS else attention


def without_kernels(attention: str) -> str:
    """Return an attention that needs no kernels in place of one that transformers knows, or may get from the Hub.

    Any other name is returned as it is, so that loading refuses it.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    known = attention in ALL_ATTENTION_FUNCTIONS.valid_keys() or "/" in attention
    return "auto" if known else attention


def check_attention(attention: str, device: str) -> None:
    """Raise ValueError, with the available ones, for an attention that the device does not support.

    On a GPU, transformers checks other names itself, as it knows which kernels are installed.
    """
    if not device.startswith("cuda") and attention not in _EVERYWHERE:
        raise ValueError(
            f"model.attention={attention}: not available on {device}; choose from: {', '.join(_EVERYWHERE)}"
        )
