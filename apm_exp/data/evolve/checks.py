"""Checks of a prompt that a policy has rewritten."""

import re

from apm_exp.core.types import Refusal
from apm_exp.data.evolve.strategies import repeats_instruction

_SHOWN = 120  # characters
_REFUSED = re.compile(
    r"(i['\u2019]m|i am) (sorry|afraid|unable|not able)|sorry\b"
    r"|i (can['\u2019]?t|cannot|can not|won['\u2019]t|will not)\b|as an ai\b|unfortunately,? i\b",
    re.IGNORECASE,
)
_NOUN = r"(prompt|version|question|instruction|task|request|rewrite)s?"
_INTRODUCED = re.compile(
    r"(sure|certainly|of course|absolutely|okay|ok|great)[,!.:]"
    rf"|here( is|['\u2019]s| are)\b[^\n:]{{0,60}}\b{_NOUN}\b[^\n:]{{0,60}}[:\n]"
    rf"|\W*(the |my |a )?(rewritten|revised|new|updated|modified|evolved|improved)( \w+)? {_NOUN}\b\W*[:\n#*]"
    r"|\W*prompt\W*[:\n]",
    re.IGNORECASE,
)


def problem_of(text: str, *, finished: bool, parent: str, length_ratio: float) -> Refusal | None:
    """Return why a rewritten prompt is refused, or None. parent: the text of the prompt that was rewritten.

    The length is that of the release: refused if a text is at least length_ratio times as long as the other, in
    characters.
    """
    if not text:
        return Refusal("empty", "the policy wrote nothing")
    if not finished:
        return Refusal("truncated", f"the rewrite has no end: {_shown(text)}")
    if repeats_instruction(text):
        return Refusal("instruction repeated", _shown(text))
    if _REFUSED.match(text):
        return Refusal("refused by the policy", _shown(text))
    if _INTRODUCED.match(text):
        return Refusal("introduction", _shown(text))
    if normalized(text) == normalized(parent):
        return Refusal("unchanged", _shown(text))
    if len(text) * length_ratio <= len(parent) or len(parent) * length_ratio <= len(text):
        lengths = f"{len(text):,} characters from {len(parent):,}"
        return Refusal("length", f"{lengths}, evolve.length_ratio={length_ratio:g}: {_shown(text)}")
    return None


def normalized(text: str) -> str:
    """Return a text without differences of case and white space."""
    return " ".join(text.casefold().split())


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
