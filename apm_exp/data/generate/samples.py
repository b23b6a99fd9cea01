"""The responses of a policy to one prompt."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from apm_exp.core.types import Refusal


@dataclass(frozen=True)
class Response:
    """One response.

    text: without the end token; other control tokens are written as text. finished: whether it ended with an end token.
    length: in tokens, including the end token. logp: the log-prob when it was sampled, in nats, at temperature 1 and
    before top-p. prompt_ids, ids: the tokens of the prompt and of the response, which has an end token only if one was
    sampled. The last three are None if a sampler does not return them.
    """

    text: str
    finished: bool
    length: int
    logp: float | None = None
    prompt_ids: Sequence[int] | None = None
    ids: Sequence[int] | None = None


@dataclass(frozen=True)
class Samples:
    """The responses to one prompt: the fields of Response, as lists with one entry per response."""

    texts: list[str]
    finished: list[bool]
    lengths: list[int]
    logps: list[float] | None = None
    prompt_ids: Sequence[int] | None = None
    ids: Sequence[Sequence[int]] | None = None


Drawn = tuple[int, int, Response | Refusal]  # the index of a prompt, the number of a response to it, and the response


def by_prompt(drawn: Iterable[Drawn]) -> dict[int, Samples | Refusal]:
    """Return the responses to each prompt, in the order of their numbers, by its index."""
    numbered: dict[int, dict[int, Response | Refusal]] = defaultdict(dict)
    for index, number, response in drawn:
        numbered[index][number] = response
    return {index: _samples([each[number] for number in sorted(each)]) for index, each in sorted(numbered.items())}


def _samples(each: Sequence[Response | Refusal]) -> Samples | Refusal:
    """Return the responses as Samples, or the first refusal if there is one."""
    responses = []
    for response in each:
        if isinstance(response, Refusal):
            return response
        responses.append(response)
    logps = [response.logp for response in responses if response.logp is not None]
    ids = [response.ids for response in responses if response.ids is not None]
    return Samples(
        [response.text for response in responses],
        [response.finished for response in responses],
        [response.length for response in responses],
        logps if len(logps) == len(responses) else None,
        responses[0].prompt_ids,
        ids if len(ids) == len(responses) else None,
    )
