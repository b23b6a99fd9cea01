"""Quoting of values for Hydra's grammar: automatic for existing files, otherwise shown to the user."""

import re
import shlex
from pathlib import Path

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%*?|$-]*")  # characters that need no quotes in Hydra

_NO_TEXT = re.compile(r"[-+]?[\d._]+(e[-+]?\d+)?|null|true|false|nan|inf", re.IGNORECASE)  # a file may have such a name


def quoted(text: str) -> str:
    """Return a text, quoted for Hydra's grammar if necessary."""
    if text and _PLAIN.fullmatch(text) and not _NO_TEXT.fullmatch(text):
        return text
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()


def with_quotes(override: str, *, multirun: bool) -> str:
    """Return `key=value` with quotes if the value is the path of one or several existing files or folders."""
    key, equals, value = override.partition("=")
    is_word = _PLAIN.fullmatch(value) and not (key.endswith("path") and _NO_TEXT.fullmatch(value))
    if not equals or is_word or re.match(r"\s*['\"]", value):
        return override
    if _is_there(value):
        return f"{key}={quoted(str(Path(value).expanduser()))}"
    parts = value.split(",")
    if multirun and len(parts) > 1 and all(map(_is_there, parts)):
        return f"{key}={','.join(quoted(str(Path(part).expanduser())) for part in parts)}"
    return override


def typed_form(override: str) -> str:
    """Return what to type in a shell so that the value of `key=value` is this text."""
    key, _, value = override.partition("=")
    text = f"{key}={quoted(value)}"
    return f'"{text}"' if not re.search(r'["$`\\!]', text) else shlex.quote(text)


def _is_there(value: str) -> bool:
    try:
        return bool(value) and Path(value).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # a name too long, no home folder, a null character
        return False
