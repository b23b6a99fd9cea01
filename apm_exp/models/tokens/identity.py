"""The identity of a tokenizer with its active chat template, which determine the tokens of a conversation."""

import json
from typing import TYPE_CHECKING, Any

from apm_exp.core.digest import canonical, text_digest
from apm_exp.core.types import Message
from apm_exp.models.tokens.render import chat_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SET_BY_CALLS = ("truncation", "padding")  # a call of the tokenizer leaves its settings in the backend


def tokenizer_digest(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Return the sha256 of the tokenizer's content (vocabulary, merges, normalizer, added tokens, ...) and chat
    template.

    The template counts with its text, the BOS and end tokens that it may write, and a rendered prompt. A tokenizer and
    the copy saved with a trained policy have the same digest.
    """
    probe = chat_text(tokenizer, [Message(role="user", content="Hello")], generation_prompt=True)
    named = [tokenizer.bos_token, tokenizer.eos_token]
    return text_digest(canonical([_content(tokenizer), named, tokenizer.chat_template, str(probe)]))


def _content(tokenizer: "PreTrainedTokenizerBase") -> Any:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return {name: part for name, part in json.loads(backend.to_str()).items() if name not in _SET_BY_CALLS}
    added = {id: str(token) for id, token in tokenizer.added_tokens_decoder.items()}
    return [type(tokenizer).__name__, tokenizer.get_vocab(), added]
