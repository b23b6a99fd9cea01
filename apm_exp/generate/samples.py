"""What a policy wrote to one prompt."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Samples:
    """The responses to one prompt. finished: ended by an end token. lengths: tokens, the end token counted."""

    texts: list[str]
    finished: list[bool]
    lengths: list[int]
