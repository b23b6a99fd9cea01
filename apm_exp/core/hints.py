"""Hints for names and values that are habits from other programs, such as TRL; hints.toml has them."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("hints.toml")


@dataclass(frozen=True)
class Hint:
    """The settings to type instead.

    write: settings, as `name=value`; empty if there is nothing to write. note: an explanation, possibly empty.
    """

    write: tuple[str, ...]
    note: str

    def __str__(self) -> str:
        """Return the hint as text for a message."""
        return "; ".join(part for part in (f"write {' '.join(self.write)}" if self.write else "", self.note) if part)


def hint_for_setting(name: str, value: str) -> Hint | None:
    """Return what to type instead of `name=value`; None if the table has nothing else for it."""
    hint = _hint(_settings().get(_normal(name)), value)
    return None if hint is None or hint.write == (f"{name}={value}",) else hint


def hint_for_value(name: str, value: str) -> Hint | None:
    """Return what to type instead of the invalid value of an existing setting; None if the table has no other value."""
    hint = hint_for_setting(name, value)
    written = () if hint is None else (setting.lstrip("+") for setting in hint.write)
    return None if f"{name.lstrip('+')}={value}" in written else hint


def hint_for_option(group: str, value: str) -> Hint | None:
    """Return what to type instead of `group=value` if the group has no option of that name."""
    return _hint(_table()["options"].get(_normal(group)), value)


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


@cache
def _settings() -> dict[str, Any]:
    """Return the entries by each name that may be typed."""
    table = _table()
    return {
        f"{prefix}{name}": entry
        for section, prefixes in table["prefixes"].items()
        for names, entry in table[section].items()
        for name in names.split("|")
        for prefix in prefixes
    }


def _normal(name: str) -> str:
    return name.lstrip("+-").replace("-", "_").lower()


def _hint(entry: Any, value: str) -> Hint | None:
    """Return the hint of an entry of the table for a value."""
    if isinstance(entry, list):
        plain = value.strip("'\"")
        entry = next((text for pattern, text in entry if re.fullmatch(pattern, plain, re.IGNORECASE)), None)
    if entry is None:
        return None
    settings, _, note = entry.partition("; ") if entry.startswith("write ") else ("", "", entry)
    write = settings.removeprefix("write ").split()
    return Hint(tuple(word.replace("{value}", value) for word in write), note)
