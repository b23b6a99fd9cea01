"""What a policy wrote to one prompt."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Samples:
    """The responses to one prompt. finished: ended by an end token. lengths: tokens, the end token counted.

    logps: the log-prob of each under the policy, in nats, at temperature 1; None where they were not asked for.
    """

    texts: list[str]
    finished: list[bool]
    lengths: list[int]
    logps: list[float] | None = None
