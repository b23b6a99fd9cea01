"""Escaping of untrusted text (ids, prompts, names, paths) for one line on the screen or in a log."""

import re

# Control characters except tab; line separators; bidirectional control characters; lone surrogates.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def escaped(text: str) -> str:
    """Return the text on one line, with control characters escaped as Python does: \\n, \\x1b, \\u2028."""
    return _CONTROL.sub(_escape, text)


def escaped_lines(text: str) -> str:
    """Return a text of several lines with control characters escaped and the lines after the first indented."""
    return "\n    ".join(map(escaped, text.rstrip("\n").split("\n")))


def _escape(character: re.Match[str]) -> str:
    return character[0].encode("unicode_escape").decode()
