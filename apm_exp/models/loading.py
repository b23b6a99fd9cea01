"""The keys that every model node has, beside those of its own component: how the weights are loaded."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from apm_exp.models.attention import of_transformers
from apm_exp.tokens.chat_settings import is_day
from apm_exp.types import TEMPLATE_DATE


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
