"""The conversations that a reward model reads: a row's prompt with each of its responses, rendered by its template."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from apm_exp.core.messages import fields_of, read_messages, read_responses, read_tools, text_of
from apm_exp.core.types import Message, Refusal, Tools
from apm_exp.models.tokens.control import as_text
from apm_exp.models.tokens.render import CUT, chat_text
from apm_exp.models.tokens.tool_calls import not_written, tool_names

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def conversations(
    tokenizer: "PreTrainedTokenizerBase", pattern: re.Pattern[str], row: Mapping[str, Any]
) -> list[str] | Refusal:
    """Return the conversation with each response of a row; control tokens in the text are split by CUT."""
    prompt, tools = read_messages(row["prompt"]), read_tools(row.get("tools"))
    responses = read_responses(row["responses"], row.get("response_extras"))
    texts = []
    for response in responses:
        messages = as_text(pattern, [*prompt, response])
        text = chat_text(tokenizer, messages, generation_prompt=False, tools=as_text(pattern, tools))
        reason = text.detail if isinstance(text, Refusal) else left_out(text.replace(CUT, ""), response, tools)
        if isinstance(text, Refusal) or reason:
            return Refusal("no reward", f"prompt starting {text_of(prompt[-1])[:60]!r}: {reason}")
        texts.append(text)
    return texts


def left_out(text: str, response: Message, tools: Tools | None) -> str | None:
    """Return which tool, or which field of a response's turn, the template leaves out, as a problem; None if none."""
    unseen = next((f"the tool {name}" for name in tool_names(tools) if name not in text), None)
    lacking = unseen or (not_written(text, [response], response=True) if fields_of(response) else None)
    return lacking and f"it does not write {lacking}"
