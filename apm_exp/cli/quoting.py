"""Quoting of values for Hydra's grammar: automatic for existing files, otherwise shown to the user."""

import os
import re
import shlex
from pathlib import Path

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%*?|$-]*")  # characters that need no quotes in Hydra

_NO_TEXT = re.compile(r"[-+]?[\d._]+(e[-+]?\d+)?|null|true|false|nan|inf", re.IGNORECASE)  # a file may have such a name

_HOME = re.compile(r"(^|[\[,] *)(~[\w.-]*(?=/|$))")  # at the start of a value, or of an element of a list


def quoted(text: str) -> str:
    """Return a text, quoted for Hydra's grammar if necessary."""
    if text and _PLAIN.fullmatch(text) and not _NO_TEXT.fullmatch(text):
        return text
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()


def with_quotes(override: str, *, multirun: bool) -> str:
    """Return `key=value` with quotes if the value is the path of one or several existing files or folders.

    A path below the home folder (`~/`) is written out, whether it exists or not, also inside a list.
    """
    key, equals, value = override.partition("=")
    if equals and _HOME.search(value) and not re.search("['\"]", value):
        value = _HOME.sub(lambda match: match[1] + os.path.expanduser(match[2]), value)
        override = f"{key}={value if re.search(r'[,[]', value) else quoted(value)}"
    is_word = _PLAIN.fullmatch(value) and not (key.endswith("path") and _NO_TEXT.fullmatch(value))
    if not equals or is_word or re.match(r"\s*['\"]", value):
        return override
    if _is_there(value):
        return f"{key}={quoted(value)}"
    parts = value.split(",")
    if multirun and len(parts) > 1 and all(map(_is_there, parts)):
        return f"{key}={','.join(quoted(part) for part in parts)}"
    return override


def typed_form(override: str) -> str:
    """Return what to type in a shell so that the value of `key=value` is this text."""
    key, _, value = override.partition("=")
    text = f"{key}={quoted(value)}"
    return f'"{text}"' if not re.search(r'["$`\\!]', text) else shlex.quote(text)


def _is_there(value: str) -> bool:
    try:
        return bool(value) and Path(value).exists()
    except (OSError, ValueError):  # a name too long, a null character
        return False
