"""Removal of the middle of texts that are much longer than the tokens that are kept of them, before tokenization.

A tokenizer needs about 200 bytes per character, and a file may have a line of megabytes. The profiles keep at most
`most` tokens from a text's start or from its end. The middle is removed from a space between two ASCII letters to
another such space. If no token of the vocabulary has a letter followed by a space, no token crosses such a place: BPE's
merges on one side do not depend on the other side (each merge's result is a token), nor does Unigram's best path (it
consists of the best path of each side), and pre-tokenizers split there in any case. Normalizers change nothing there: a
letter and a space do not compose. So the tokens of the start and of the end stay the same; it is verified that each end
has more than `most` tokens. If this is not possible, a text is tokenized completely, and refused if it is longer than
LONGEST.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from apm_exp.core.types import Refusal
from apm_exp.models.tokens.render import token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LONGEST = 1_000_000  # maximum number of characters of a text that is tokenized completely
_PER_TOKEN = 32  # characters per token, far above the average of any language
_TIMES = 4  # a shorter text is not much longer than its two ends
_PLACE = re.compile(r"(?<=[A-Za-z]) (?=[A-Za-z])")
_ACROSS = re.compile(r"[A-Za-z][ \u0120\u2581]")  # byte-level vocabularies write a space as U+0120, others as U+2581


def shortened(tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], most: int) -> tuple[str, ...] | Refusal:
    """Return the texts, the long ones without their middle; their first and last `most` tokens are the same.

    Each end has more than `most` tokens. Returns a Refusal if a text is too long to tokenize completely and cannot be
    shortened.
    """
    kept = _PER_TOKEN * (most + 2)
    short = tuple(_without_middle(tokenizer, text, most, kept) for text in texts)
    if (longest := max(map(len, short))) <= max(LONGEST, _TIMES * kept):
        return short
    problem = f"{longest:,} characters without a space between two letters at which to shorten it"
    return Refusal("text too long to be tokenized", f"{problem}; split it, or remove it")


def _without_middle(tokenizer: "PreTrainedTokenizerBase", text: str, most: int, kept: int) -> str:
    if len(text) <= _TIMES * kept:
        return text
    start = _PLACE.search(text, kept)
    ends = list(_PLACE.finditer(text, len(text) - 2 * kept, len(text) - kept))
    if start is None or not ends or _lies_across(tokenizer):
        return text
    parts = text[: start.start()], text[ends[-1].start() :]
    enough = start.start() < ends[-1].start() and all(len(ids) > most + 1 for ids in token_ids(tokenizer, list(parts)))
    return "".join(parts) if enough else text


@lru_cache(maxsize=4)
def _lies_across(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Return whether a token of the vocabulary has a letter followed by a space."""
    return any(_ACROSS.search(token) for token in tokenizer.get_vocab())
