"""What a policy wrote to one prompt."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from apm_exp.core.types import Refusal


@dataclass(frozen=True)
class Response:
    """One response. finished: ended by an end token. length: tokens, the end token counted.

    text: without the end token, every other control token spelled out. logp: the log-prob as it was sampled, in nats,
    at temperature 1, before top-p. prompt_ids, ids: the tokens of the prompt that was sampled from, and those of the
    response, with an end token only if one was sampled. None if a sampler does not tell.
    """

    text: str
    finished: bool
    length: int
    logp: float | None = None
    prompt_ids: Sequence[int] | None = None
    ids: Sequence[int] | None = None


@dataclass(frozen=True)
class Samples:
    """The responses to one prompt; as in Response, one entry a response."""

    texts: list[str]
    finished: list[bool]
    lengths: list[int]
    logps: list[float] | None = None
    prompt_ids: Sequence[int] | None = None
    ids: Sequence[Sequence[int]] | None = None


Drawn = tuple[int, int, Response | Refusal]  # the index of a prompt, the number of a response to it, what came of it


def by_prompt(drawn: Iterable[Drawn]) -> dict[int, Samples | Refusal]:
    """Return the responses to each prompt, in the order of their numbers, by its index."""
    numbered: dict[int, dict[int, Response | Refusal]] = defaultdict(dict)
    for index, number, one in drawn:
        numbered[index][number] = one
    return {index: _samples([each[number] for number in sorted(each)]) for index, each in sorted(numbered.items())}


def _samples(each: Sequence[Response | Refusal]) -> Samples | Refusal:
    """The responses together; a refusal if one is."""
    responses = []
    for one in each:
        if isinstance(one, Refusal):
            return one
        responses.append(one)
    logps = [one.logp for one in responses if one.logp is not None]
    ids = [one.ids for one in responses if one.ids is not None]
    return Samples(
        [one.text for one in responses],
        [one.finished for one in responses],
        [one.length for one in responses],
        logps if len(logps) == len(responses) else None,
        responses[0].prompt_ids,
        ids if len(ids) == len(responses) else None,
    )
