"""The text of a response: what the policy would write after the prompt, including its end token."""

import re
from typing import TYPE_CHECKING, NamedTuple

from apm_exp.core.messages import text_of
from apm_exp.core.types import Message, Refusal, Tools
from apm_exp.models.tokens.render import CUT, chat_text
from apm_exp.models.tokens.tool_calls import is_text, not_written
from apm_exp.models.tokens.turn_end import TurnEnd, added_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SHOWN = 60  # characters before and after a difference
LEFT_OUT = "the chat template leaves out a part of the conversation"
REMEDY = "set model.chat_template=FILE to a template that writes it"


class Written(NamedTuple):
    """A response as text, with its end token if the template writes one. differs: see TokenizedPair."""

    text: str
    differs: str


def response_text(
    tokenizer: "PreTrainedTokenizerBase",
    end: TurnEnd,
    prompt_text: str,
    prompt: list[Message],
    response: list[Message],
    tools: Tools | None,
) -> Written | Refusal:
    """Return the response after a prompt; a refusal if the template does not accept it or omits a part of it."""
    whole = chat_text(tokenizer, [*prompt, *response], generation_prompt=False, tools=tools)
    if isinstance(whole, Refusal):
        return whole
    if not is_text(response) and not _is_read_as_text(tokenizer, whole, prompt, response, tools):
        return _as_rendered(end, prompt_text, whole, response, added_tokens(tokenizer))
    text = end.lead + text_of(response[0])
    content = _content(end, prompt_text, whole)
    same = content is not None and content.strip() == text.strip()
    text = content if same and content is not None else text
    if not text.removeprefix(end.lead).strip():
        return Refusal("empty response", "the chat template leaves nothing of the response's text")
    return Written(text + end.text, "" if same else _difference(prompt_text + text + end.text, whole))


def _is_read_as_text(
    tokenizer: "PreTrainedTokenizerBase",
    whole: str,
    prompt: list[Message],
    response: list[Message],
    tools: Tools | None,
) -> bool:
    """Return whether a response is only text because the template ignores its other fields.

    Such fields (`model`, `timestamp`, `weight`, ...) must not be a part of what the assistant says.
    """
    if response[0]["content"] is None or not_written(whole, response, response=True):
        return False
    text = Message(role=response[0]["role"], content=response[0]["content"])
    return whole == chat_text(tokenizer, [*prompt, text], generation_prompt=False, tools=tools)


def _content(end: TurnEnd, prompt_text: str, whole: str) -> str | None:
    """Return the part of a rendering between the prompt and the end of the turn; None if it lacks one of them."""
    if not whole.startswith(prompt_text) or not whole.endswith(end.tail):
        return None
    return whole[len(prompt_text) : len(whole) - len(end.tail)]


def _as_rendered(end: TurnEnd, prompt_text: str, whole: str, response: list[Message], tokens: str) -> Written | Refusal:
    """Return a response that is more than text as the template writes it: everything after the prompt, with its end.

    A template may end a tool call with another token than a text: gpt-oss's `<|call|>`.
    """
    if lacking := not_written(whole, response, response=True):
        return Refusal(LEFT_OUT, f"{lacking}; {REMEDY}")
    if not whole.startswith(prompt_text):
        detail = f"{_difference(prompt_text, whole)}; try model.chat_template_kwargs={{enable_thinking: false}}"
        return Refusal("the chat template writes the prompt otherwise before such a response", detail)
    content = _content(end, prompt_text, whole)
    if content is not None:
        return Written(content + end.text, "")
    text = whole[len(prompt_text) :].rstrip()
    if not re.search(f"(?:{tokens})$", text):
        return Refusal("the chat template does not end such a response with a token", repr(text[-_SHOWN:]))
    return Written(text, "")


def _difference(own: str, whole: str) -> str:
    """Return two renderings around the first difference, on one line."""
    own, whole = own.replace(CUT, ""), whole.replace(CUT, "")
    place = next((i for i, (a, b) in enumerate(zip(own, whole + "\0", strict=False)) if a != b), len(own))
    start = max(0, place - _SHOWN)
    return f"{own[start : place + _SHOWN]!r}, but the template writes {whole[start : place + _SHOWN]!r}"
