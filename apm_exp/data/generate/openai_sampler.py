"""Sampler: responses of any OpenAI-compatible endpoint, asked once per prompt and number."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from apm_exp.core.console import track
from apm_exp.core.digest import canonical
from apm_exp.core.ranges import Temperature
from apm_exp.core.types import Message, Refusal
from apm_exp.data.endpoint.ask import Asking
from apm_exp.data.endpoint.bill import Bill
from apm_exp.data.endpoint.checks import check_endpoint, check_ready
from apm_exp.data.endpoint.endpoint import endpoint_of
from apm_exp.data.endpoint.replies import Reply
from apm_exp.data.endpoint.request import Request
from apm_exp.data.endpoint.spending import spending_at
from apm_exp.data.generate.samples import Drawn, Response

OF_POLICY = False  # the responses are another model's; the run's policy only scores them
_PLACE = "generate.endpoint"


def sample_responses(
    policy: None,
    prompts: Sequence[list[Message]],
    runtime: Mapping[str, Any],
    wanted: Mapping[int, Sequence[int]],
    sampled: Path,
    *,
    samples: Annotated[int, Field(ge=1, le=10_000)],
    temperature: Temperature,
    top_p: Annotated[float, Field(gt=0, le=1)],
    max_new_tokens: Annotated[int, Field(ge=1, le=2**24)],
    seed: int,
    send_seed: bool,
    limit_name: Literal["max_tokens", "max_completion_tokens"],
    more: dict[str, Any],
    endpoint: dict[str, Any],
) -> Iterator[Drawn]:
    """Yield (index of the prompt, number of the response, response) for each wanted response, as soon as it arrives.

    wanted: the numbers of the responses to ask for, by the prompt's index. sampled: the step's folder for partial
    results, in which the ledger of requests is kept. send_seed: whether each request has a seed, a hash of `seed`, its
    prompt and its number; some servers accept none. limit_name: the API's name of max_new_tokens. more: further fields
    of each request.

    A prompt is refused, and not asked again, if the server rejects it, if its content filter does, or if a response is
    empty. Raises ValueError if the endpoint cannot be asked any more (data/endpoint/), after the responses that were in
    flight.
    """
    if not any(wanted.values()):
        return
    asking = Asking(endpoint_of(_PLACE, endpoint), sampled, unusable=_unusable)
    sampling = {"temperature": temperature, "top_p": top_p, "n": 1, limit_name: max_new_tokens}
    extra = {"extra_body": more} if more else {}

    def request(index: int, number: int) -> Request:
        seeded = {"seed": request_seed(seed, prompts[index], number)} if send_seed else {}
        return Request((index, number), {"messages": prompts[index], **sampling, **seeded, **extra}, group=index)

    requests = (request(index, number) for index in sorted(wanted) for number in wanted[index])
    for (index, number), reply in track(asking.all(requests), "asking, responses", sum(map(len, wanted.values()))):
        yield index, number, reply if isinstance(reply, Refusal) else _unusable(reply) or _response(reply)


def check(*, endpoint: dict[str, Any]) -> None:
    """Raise ValueError for settings of the endpoint that do not fit together."""
    check_endpoint(endpoint_of(_PLACE, endpoint))


def ready(*, endpoint: dict[str, Any]) -> None:
    """Raise ValueError if the endpoint cannot be asked: a missing package, key or ceiling, or no server."""
    check_ready(endpoint_of(_PLACE, endpoint))


def bill(
    counts: Mapping[str, int | float], mean_pair: Sequence[float], *, max_new_tokens: int, endpoint: dict[str, Any]
) -> Bill | None:
    """Return the maximum cost of so many responses to prompts of the mean length; None if their number is unknown."""
    if "responses" not in counts:
        return None
    number = int(counts["responses"])
    return Bill(endpoint_of(_PLACE, endpoint), number, number * mean_pair[0], number * max_new_tokens)


def spending(sampled: Path, out: Path, *, endpoint: dict[str, Any]) -> dict[str, int | float]:
    """Return the counts of the tokens and the cost, and write them with the endpoint to asked.json."""
    return spending_at(endpoint_of(_PLACE, endpoint), sampled, out)


def request_seed(seed: int, prompt: Sequence[Message], number: int) -> int:
    """Return the seed of a request, 31 bits: no two prompts or numbers have seeds that follow each other."""
    digest = hashlib.sha256(f"{seed} {number} {canonical(prompt)}".encode()).digest()
    return int.from_bytes(digest[:4]) >> 1


def _unusable(reply: Reply) -> Refusal | None:
    """Return why a reply is no response, or None."""
    if reply.ended == "content_filter":
        return Refusal("content filter", "the server ended the response with finish_reason=content_filter")
    if reply.refusal is not None:
        return Refusal("refused by the model", reply.refusal[:200])
    if not reply.text.strip():
        why = f"finish_reason={reply.ended} after {reply.output_tokens:,} tokens"
        spent_on_thoughts = "; all tokens went to its thoughts: raise max_new_tokens" if reply.is_truncated else ""
        return Refusal("empty response", f"{why}{spent_on_thoughts}")
    return None


def _response(reply: Reply) -> Response:
    return Response(reply.text, not reply.is_truncated, reply.output_tokens)
