"""Text of unknown origin, so that it can stand in a line on the screen or in a log: ids, prompts, names, paths."""

import re

# Control characters but for the tab; line separators; what turns the direction of text; halves of surrogate pairs.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def escaped(text: str) -> str:
    """The text on one line, with its control characters as Python writes them: \\n, \\x1b, \\u2028."""
    return _CONTROL.sub(_escape, text)


def escaped_lines(text: str) -> str:
    """A text of several lines with its control characters escaped; the lines after the first are indented."""
    return "\n    ".join(map(escaped, text.rstrip("\n").split("\n")))


def _escape(character: re.Match[str]) -> str:
    return character[0].encode("unicode_escape").decode()
