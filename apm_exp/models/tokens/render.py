"""Conversations to text to tokens: rendering by the chat template."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from apm_exp.core.types import Message, Refusal, Tools
from apm_exp.models.tokens.at_once import at_once
from apm_exp.models.tokens.bounded import LIMIT, DidNotEnd, bounded
from apm_exp.models.tokens.chat_settings import settings_of, with_fixed_day
from apm_exp.models.tokens.tool_calls import forms

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CUT = "\ufdd0"  # a noncharacter that marks where a text is split before tokenization (see control.py)
THINKING = re.compile("think|thought|reason", re.IGNORECASE)
_REMEDY = "set model.chat_template=FILE to a template that does"
_NOT_TAKEN = "the chat template does not take the conversation"


def chat_text(
    tokenizer: "PreTrainedTokenizerBase",
    messages: list[Message],
    *,
    generation_prompt: bool,
    tools: Tools | None = None,
) -> str | Refusal:
    """Return the conversation as rendered by the chat template, or a refusal if the template does not accept it.

    generation_prompt: end with the header of the assistant's turn. Messages of chat APIs are passed in a form that the
    template accepts (tool_calls.forms). Raises ValueError if there is no usable template.
    """
    text: str | Refusal = Refusal(_NOT_TAKEN, "the conversation is empty")
    for form in forms(messages):
        text = _render(tokenizer, form, generation_prompt, tools)
        if not isinstance(text, Refusal):
            break
    return text


def _render(
    tokenizer: "PreTrainedTokenizerBase",
    messages: Sequence[Mapping[str, Any]],
    generation_prompt: bool,
    tools: Tools | None,
) -> str | Refusal:
    from jinja2 import TemplateError, TemplateSyntaxError

    settings = settings_of(tokenizer)
    template, lines = with_fixed_day(template_of(tokenizer, tools), settings.day)
    try:
        with bounded(LIMIT):
            text = tokenizer.apply_chat_template(
                cast(list[dict[str, str]], messages),
                tools=cast(Any, tools),
                chat_template=template,
                tokenize=False,
                add_generation_prompt=generation_prompt,
                **settings.variables,
            )
        return cast(str, text)
    except TemplateSyntaxError as error:
        where = f"line {error.lineno - lines}: {error.message}"
        raise ValueError(f"model.chat_template: {where}; fix the template") from error
    except DidNotEnd:
        return Refusal(_NOT_TAKEN, f"it did not finish within {LIMIT:g} s")
    except TemplateError as error:
        return Refusal(_NOT_TAKEN, " ".join(str(error.message).split()))
    except Exception as error:  # a template is a program, which may fail in any way
        return Refusal(_NOT_TAKEN, _failure(error))


def template_of(tokenizer: "PreTrainedTokenizerBase", tools: Tools | None = None) -> str:
    """Return the text of the tokenizer's chat template. Raises ValueError if there is none."""
    if tokenizer.chat_template == "":
        raise ValueError("model.chat_template: the template is empty; set another FILE")
    if not tokenizer.chat_template:
        raise ValueError("model.chat_template=null: the tokenizer has no chat template; set model.chat_template=FILE")
    try:
        return tokenizer.get_chat_template(None, cast(Any, tools))
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"model.chat_template=null: {reason[:200]}; set model.chat_template=FILE") from error


def _failure(error: Exception) -> str:
    if "no loader" in str(error):  # include, import, extends
        return "it includes another file, which is not supported"
    if isinstance(error, RecursionError | MemoryError):
        return "its recursion is infinite" if isinstance(error, RecursionError) else "it takes too much memory"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def token_ids(tokenizer: "PreTrainedTokenizerBase", texts: list[str]) -> list[list[int]]:
    """Return the token ids of each text, with nothing added: the template has written every special token."""
    ids: list[list[int]] = []
    for part in at_once(texts):
        whole = [text.replace(CUT, "") for text in part]
        new = tokenizer(whole, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
        ids += [_in_pieces(tokenizer, text) if CUT in text else own for text, own in zip(part, new, strict=True)]
    return ids


def _in_pieces(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Return the token ids of a text that is split at CUT.

    A piece is tokenized after a newline, whose tokens are then removed, as some tokenizers add a space before the first
    word of a text.
    """

    def encode(piece: str) -> list[int]:
        return tokenizer(piece, add_special_tokens=False, verbose=False)["input_ids"]

    first, *pieces = text.split(CUT)
    ids, newline = encode(first), encode("\n")
    for piece in pieces:
        after = encode("\n" + piece)
        ids += after[len(newline) :] if after[: len(newline)] == newline else encode(piece)
    return ids
