"""The keys that every model node has, beside those of its own component: how the weights are loaded."""

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
    """The arguments of `from_pretrained` for the keys that every model node has.

    dtype "auto" leaves the choice to transformers, and so does an attention of pairs, which comes later
    (pair_forward.accept_responses). What begins with chat_template, and template_date, is
    the tokenizer's: see load_tokenizer.
    """
    import torch

    arguments: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    arguments["dtype"] = dtype if dtype == "auto" else getattr(torch, dtype)
    if (own := of_transformers(attention)) is not None:
        arguments["attn_implementation"] = own
    return arguments


OF_PAIRS = ("auto", "segments", "flex")  # they share a pair's prompt; any other name is transformers' own, padded
_EVERYWHERE = ("auto", "segments", "sdpa", "eager")


def in_key(attention: str) -> str:
    """What an artifact's key knows of an attention: those that share prompts, and `auto`, differ by rounding alone."""
    return "shared" if attention in OF_PAIRS else attention


def of_transformers(attention: str) -> str | None:
    """The attn_implementation that a model is loaded with; None leaves the choice to transformers."""
    return None if attention in OF_PAIRS else attention


def check_attention(attention: str, device: str) -> None:
    """Raise ValueError, with what there is, for an attention that the device lacks.

    On a GPU other names are transformers' to judge: it knows which of its kernels are installed.
    """
    if not device.startswith("cuda") and attention not in _EVERYWHERE:
        raise ValueError(f"model.attention={attention}: the device {device} has {', '.join(_EVERYWHERE)}")
