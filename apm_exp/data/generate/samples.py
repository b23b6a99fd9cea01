"""What a policy wrote to one prompt."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Samples:
    """The responses to one prompt. finished: ended by an end token. lengths: tokens, the end token counted.

    texts: without the end token, every other control token spelled out. logps: the log-prob of each response as it was
    sampled, in nats, at temperature 1, before top-p. prompt_ids, ids: the tokens of the prompt that was sampled from,
    and of each response, with an end token only if one was sampled. None if a sampler does not tell.
    """

    texts: list[str]
    finished: list[bool]
    lengths: list[int]
    logps: list[float] | None = None
    prompt_ids: Sequence[int] | None = None
    ids: Sequence[Sequence[int]] | None = None
