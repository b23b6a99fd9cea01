"""Batches of texts for a tokenizer, which keeps offsets and masks besides the ids: about 200 bytes per character."""

from collections.abc import Iterator

_TEXTS = 1000
_CHARACTERS = 4_000_000


def at_once(texts: list[str]) -> Iterator[list[str]]:
    """Yield the texts in parts with a limited number of texts and characters; a single longer text is a part."""
    part: list[str] = []
    characters = 0
    for text in texts:
        if part and (len(part) == _TEXTS or characters + len(text) > _CHARACTERS):
            yield part
            part, characters = [], 0
        part.append(text)
        characters += len(text)
    if part:
        yield part
