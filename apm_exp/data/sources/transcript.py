"""Transcripts as in Anthropic's HH data: "\\n\\nHuman: ...\\n\\nAssistant: ..."."""

import re

from apm_exp.core.types import Message
from apm_exp.data.sources.rows import BadRow

_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


def transcript_messages(text: str, name: str) -> list[Message]:
    """Return the turns of a transcript, stripped of white space. Raises BadRow if the text starts without a turn."""
    before, *parts = _TURN.split(text)
    if before.strip() or not parts:
        remedy = 'without a prompt column it must be messages or a transcript "Human: ... Assistant: ..."'
        raise BadRow("not a transcript", f"{name} starts with {text[:40]!r}; {remedy}")
    speakers, contents = parts[::2], parts[1::2]
    pairs = zip(speakers, contents, strict=True)
    return [{"role": _ROLES[speaker], "content": content.strip()} for speaker, content in pairs]


def is_transcript(text: str) -> bool:
    """Return whether a text starts with a turn of a transcript."""
    return text.lstrip().startswith(("Human:", "Assistant:"))


def is_transcript_prompt(text: str) -> bool:
    """Return whether a text prompt is an open transcript: from a Human turn to an empty Assistant turn."""
    return text.startswith(("\n\nHuman:", "Human:")) and text.rstrip().endswith("\n\nAssistant:")
