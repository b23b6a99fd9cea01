"""Conversations to text to tokens: rendering by the chat template, and how it writes an assistant's turn."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
_PROBE, _QUESTION = "PROBE", "QUESTION"
_REMEDY = "set model.chat_template=FILE to a template that does"
_NOT_TAKEN = "the chat template does not take the conversation"


@dataclass(frozen=True)
class TurnEnd:
    """How the template writes and ends a response.

    token_id: the end token. text: the text from the end of the response's text to the end of the end token; if the
    template writes no end token (`written` is False), what it writes after the response's text, after which the end
    token is added. lead: what the policy has to write between the prompt and the text (`<|channel|>final<|message|>` in
    gpt-oss's format, a space in Mistral's). tail: all that the template writes after the text of a final response.
    """

    token_id: int
    text: str
    written: bool
    lead: str
    tail: str


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


def turn_end(tokenizer: "PreTrainedTokenizerBase") -> TurnEnd:
    """Return how this tokenizer's template writes and ends a response, found by rendering one.

    The end is what the template writes directly after the response's text and the policy would write too: the added
    tokens there, special or not, up to the last one that is also written if a user turn follows (`<|END_RESPONSE|>
    <|END_OF_TURN_TOKEN|>`, `<|im_end|>`, `<end_of_turn>`, `</s>`; not the end-of-text token that some templates write
    after a final `<|end|>`). If nothing is written after a final response, it is the token that starts the next turn
    (GLM-4's `<|user|>`); if there is none, the tokenizer's end token. Raises ValueError if there is no end, or if the
    template does not show the response.
    """
    user, response = Message(role="user", content=_QUESTION), Message(role="assistant", content=_PROBE)
    text = chat_text(tokenizer, [user, response], generation_prompt=False)
    if isinstance(text, Refusal):
        raise ValueError(
            f"model.chat_template: the template rejects a user and an assistant turn: {text.detail}; {_REMEDY}"
        )
    if _PROBE not in text:
        raise ValueError(f"model.chat_template: the template does not show the assistant's text; {_REMEDY}")
    longer = chat_text(tokenizer, [user, response, user], generation_prompt=False)
    tail, onward = text.rpartition(_PROBE)[2], "" if isinstance(longer, Refusal) else longer.rpartition(_PROBE)[2]
    lead = _lead(chat_text(tokenizer, [user], generation_prompt=True), text)
    gap, tokens = _end_tokens(tokenizer, tail, onward)
    if tokens:
        end = cast(int, tokenizer.convert_tokens_to_ids(tokens[-1]))
        return TurnEnd(end, gap + "".join(tokens), True, lead, tail)
    if tokenizer.eos_token_id is None:
        raise ValueError(
            f"model.chat_template: neither it nor the tokenizer has an end token for a response; {_REMEDY}"
        )
    return TurnEnd(cast(int, tokenizer.eos_token_id), tail, False, lead, tail)


def _lead(prompt: str | Refusal, conversation: str) -> str:
    """Return what is written between the prompt and the text of a response, "" if it is a thinking section.

    A thinking section belongs to a response that has one, or to the prompt (enable_thinking=false).
    """
    if isinstance(prompt, Refusal) or not conversation.startswith(prompt):
        return ""
    lead = conversation[len(prompt) :].partition(_PROBE)[0]
    return "" if THINKING.search(lead) else lead


def _end_tokens(tokenizer: "PreTrainedTokenizerBase", tail: str, onward: str) -> tuple[str, list[str]]:
    """Return the text between a response and its end tokens, and these. onward: `tail` if a user turn comes next."""
    token = added_tokens(tokenizer)
    if not tail:
        match = re.match(token, onward)
        return "", [match[0]] if match else []
    run = re.search(f"(?:{token})+", tail)
    if run is None:
        return "", []
    gap, tokens = tail[: run.start()], re.findall(token, run[0])
    shared = [n for n in range(1, len(tokens) + 1) if onward.startswith(gap + "".join(tokens[:n]))]
    return gap, tokens[: shared[-1]] if shared else tokens


def added_tokens(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Return a pattern of the added tokens, special or not, that are not only white space."""
    added = (str(token.content) for token in tokenizer.added_tokens_decoder.values())
    names = sorted({*added, str(tokenizer.eos_token or "")} - {""}, key=len, reverse=True)
    return "|".join(re.escape(name) for name in names if name.strip()) or "(?!)"
