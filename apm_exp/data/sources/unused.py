"""Detection of columns that look like a part of the conversation but are not read, so that none is lost silently."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from apm_exp.core.messages import text_of
from apm_exp.data.sources.known_columns import OTHER_RESPONSES
from apm_exp.data.sources.pairs import PreferencePair
from apm_exp.data.sources.turns import is_messages

_READ = frozenset({"chosen", "rejected", "system", "history", "tools", "all_generated_responses"})
_WORD = (
    "article|audio|background|chat|context|conversation|dialog|dialogue|document|function|history|image|input"
    "|instruction|message|paragraph|passage|persona|prefix|prompt|query|question|reason|reasoning|system|thinking"
    "|thought|tool|turn|video"
)
_NAME, _PART = re.compile(f"({_WORD})s?", re.IGNORECASE), re.compile(f"(^|_)({_WORD})s?(_|$)", re.IGNORECASE)
_MARK = re.compile(r"<[^<>]*>\w*|\[/?\w+\]|\w+:")
_WORDS = re.compile(r"\w+\W+\w+")  # a mark does not contain two words
_INPUT = "input."  # the prefix for fields of an object called input other than messages


def unused_columns(row: Mapping[str, Any], pair: PreferencePair) -> list[str]:
    """Return the names of columns that look like conversation and contain text that is not in the pair.

    A column looks like conversation if its name contains a known word and it has text, or if it contains messages. row:
    with the columns of `with_known_columns`.
    """
    candidates = [name for name, value in row.items() if value and name not in _READ and _looks_like(name, value)]
    return [name for name in candidates if not _said(name, row[name], pair)]


def _looks_like(name: str, value: Any) -> bool:
    if not isinstance(value, str | list | Mapping):
        return False
    if name in OTHER_RESPONSES or _NAME.fullmatch(name) or name.startswith(_INPUT) or is_messages(value):
        return True
    words = not isinstance(value, str) or " " in value.strip()  # excludes prompt_id, message_hash, ...
    return words and _PART.search(name) is not None


def _said(name: str, value: Any, pair: PreferencePair) -> bool:
    """Return whether every text in a value is the text of a turn, or a text prompt consists of turns and role marks."""
    turns = [text.strip() for text in _texts([*pair.prompt, pair.chosen, pair.rejected])]
    if isinstance(value, str) and is_messages(value):
        value = json.loads(value)
    if name == "prompt" and not isinstance(value, str):
        return True  # messages have been read
    if name == "prompt" and value.strip() not in turns:
        asked = [text_of(turn).strip() for turn in pair.prompt]
        return asked[-1] in value and not _WORDS.search(_without(value, asked))
    return all(text.strip() in turns for text in _texts(value))


def _without(text: str, turns: Iterable[str]) -> str:
    """Return a text without the turns and the role marks around them: `<|im_start|>user`, `[INST]`, `Human:`."""
    for turn in sorted(turns, key=len, reverse=True):
        text = text.replace(turn, " ") if turn else text
    return _MARK.sub(" ", text)


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in a value except roles."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _of_all(inner for name, inner in value.items() if name not in ("role", "from", "type"))
    elif isinstance(value, list):
        yield from _of_all(value)
    else:
        yield f"{type(value).__name__} without text"


def _of_all(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if value is not None:
            yield from _texts(value)
