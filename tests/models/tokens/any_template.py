"""A small tokenizer for any chat template: bytes, and a token for everything in the template that looks like one."""

import re
from functools import cache
from pathlib import Path

import trl
from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerFast

from tests.models.tokens.chat_tokenizers import byte_level

SHIPPED = {path.stem: path for path in sorted((Path(trl.__file__).parent / "chat_templates").glob("*.jinja"))}
_TOKEN = re.compile(
    r"<[|\uff5c][^<>\s'\"]+[|\uff5c]>|<\|[a-z_]+>|<[a-z_]+\|>|</?(?:think|tool_call)>|<(?:start|end)_of_turn>"
)


@cache
def _bytes() -> str:
    return byte_level().to_str()


@cache
def tokenizer_for(template: str, *more: str) -> PreTrainedTokenizerFast:
    """A tokenizer with this template. more: further special tokens. Those like `<think>` are added, but not special."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_bytes()), bos_token="<bos>", eos_token="<eos>"
    )
    names = sorted({*_TOKEN.findall(template), *more})
    plain = [name for name in names if re.fullmatch(r"</?\w+>", name) and not name.endswith("_of_turn>")]
    tokenizer.add_special_tokens({"additional_special_tokens": [name for name in names if name not in plain]})
    tokenizer.add_tokens([AddedToken(name, special=False, normalized=False) for name in plain])
    tokenizer.chat_template = template
    return tokenizer
