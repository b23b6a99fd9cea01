"""How many texts a tokenizer gets at once: it keeps offsets and masks besides the ids, some 200 bytes a character."""

from collections.abc import Iterator

_TEXTS = 1000
_CHARACTERS = 4_000_000


def at_once(texts: list[str]) -> Iterator[list[str]]:
    """Yield the texts in parts of at most so many texts and characters, or of one text that has more."""
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
