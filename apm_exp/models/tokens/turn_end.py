"""The form of an assistant's turn and its end in a chat template, found by rendering one."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from apm_exp.core.types import Message, Refusal
from apm_exp.models.tokens.render import THINKING, chat_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PROBE, _QUESTION = "PROBE", "QUESTION"
_REMEDY = "set model.chat_template=FILE to a template that does"


@dataclass(frozen=True)
class TurnEnd:
    """The form of a response in the template.

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
    """Return the text between the prompt and a response, "" if it is a thinking section.

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
