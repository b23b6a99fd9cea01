"""Ask an endpoint: many requests at the same time, each retried until it has a reply, within rate limits and a ceiling.

    asking = Asking(endpoint, folder)
    for name, reply in asking.all([Request(name, {"messages": messages, "max_tokens": 100})]):
        ...  # a Reply, or a Refusal of this request alone

Samplers and judges use it. The folder keeps what was paid.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

from apm_exp.core.types import Refusal
from apm_exp.data.endpoint.client import client_of, import_openai
from apm_exp.data.endpoint.concurrently import Cancelled, concurrently
from apm_exp.data.endpoint.endpoint import Endpoint
from apm_exp.data.endpoint.failures import Retry, failure
from apm_exp.data.endpoint.ledger import Ledger
from apm_exp.data.endpoint.pace import Pace
from apm_exp.data.endpoint.replies import Malformed, Reply, read_reply, usage_of
from apm_exp.data.endpoint.request import Request

logger = logging.getLogger(__name__)
_MOST_REJECTED = 10  # requests that are rejected for the same reason before any other has a reply
_BYTES_A_TOKEN = 4  # of English text, for the rate limit only
_LATER = "finished work is kept; re-run the same command to resume"
Unusable = Callable[[Reply], Refusal | None]
Alive = Callable[[], None]  # raises ValueError if there is no use in another attempt


class Asking:
    """An endpoint to which requests are sent. folder: for the ledger, None to keep none. alive: see Alive.

    unusable: returns why a reply is of no use, or None; no further request of its group is then sent.
    """

    def __init__(
        self, endpoint: Endpoint, folder: Path | None, alive: Alive = lambda: None, unusable: Unusable = lambda _: None
    ) -> None:
        self.endpoint, self.alive, self.unusable = endpoint, alive, unusable
        self._openai, self.client = import_openai(), client_of(endpoint)
        self.ledger = Ledger(endpoint, folder)
        self.pace = Pace(endpoint.requests_per_minute, endpoint.tokens_per_minute)
        self.stopping = Event()
        self.unusual: Counter[str] = Counter()  # failed attempts and odd replies
        self._refused: dict[Any, Refusal] = {}

    def all(self, requests: Iterable[Request]) -> Iterator[tuple[Any, Reply | Refusal]]:
        """Yield the name and the reply of each request, or a refusal of it, in the order in which they end.

        Raises ValueError if the endpoint cannot be asked any more; the replies of all requests in flight are yielded
        before. Requests that the server rejects are yielded after the first reply, as otherwise the server, and not the
        request, is likely to be wrong.
        """
        ended = concurrently(requests, self._ask, self.endpoint.concurrency, self.stopping)
        rejected: list[tuple[Any, Refusal]] = []
        any_reply = False
        try:
            for name, reply in ended:
                if isinstance(reply, Refusal) and not any_reply:
                    rejected.append((name, reply))
                    if len(rejected) == _MOST_REJECTED and len({each.detail for _, each in rejected}) == 1:
                        raise ValueError(
                            f"{self.endpoint.place}: no request is accepted: {reply.detail}; correct the settings"
                        )
                    continue
                any_reply = True
                yield from rejected
                rejected = []
                yield name, reply
            yield from rejected
        finally:
            ended.close()
            self.client.close()
            self.ledger.close()
            if seen := +self.unusual:
                each = ", ".join(f"{count:,} x {what}" for what, count in seen.most_common())
                logger.warning("%s: %s", self.endpoint.typed("url"), each)

    def _ask(self, request: Request) -> tuple[Any, Reply | Refusal]:
        """Return the reply to one request after as many attempts as needed, or the refusal of its group."""
        if (known := self._refused.get(request.group)) is not None:
            return request.name, known
        reply = self._retrying(request)
        refusal = reply if isinstance(reply, Refusal) else self.unusable(reply)
        if (
            refusal is not None and request.group is not None
        ):  # here, as the next request is sent before the caller looks
            self._refused.setdefault(request.group, refusal)
        return request.name, reply

    def _retrying(self, request: Request) -> Reply | Refusal:
        import tenacity

        said = 0  # failures after which the server said when to come back, which are no attempts

        def enough(state: tenacity.RetryCallState) -> bool:
            nonlocal said
            said += _after(state) is not None
            return state.attempt_number - said >= self.endpoint.attempts or self.stopping.is_set()

        jitter = tenacity.wait_random_exponential(multiplier=min(1.0, self.endpoint.backoff), max=self.endpoint.backoff)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Retry),
            wait=lambda state: jitter(state) + (_after(state) or 0.0),
            stop=enough,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._once, request)
        except Retry as error:
            if self.stopping.is_set():
                raise Cancelled from error
            problem = f"no usable reply after {self.endpoint.attempts} attempts ({error.reason})"
            raise ValueError(f"{self.endpoint.typed('url')}: {problem}; {_LATER}") from error

    def _once(self, request: Request) -> Reply | Refusal:
        """Return the reply of one attempt. Raises Retry, or ValueError for an error that ends the work."""
        expected = request.most_input // _BYTES_A_TOKEN + request.most_output
        start = self.pace.start_of(expected)
        while (seconds := self.pace.seconds_until(start)) > 0:
            self._sleep(seconds)
        with self.ledger.request(request.most_input, request.most_output) as charge:
            if self.stopping.is_set():
                charge.free = True
                raise Cancelled
            try:
                completion = self._send(request)
            except (self._openai.OpenAIError, ValueError) as error:  # ValueError: JSON that ends too early
                meaning = failure(error, self.endpoint)
                charge.free = not (isinstance(meaning, Retry) and meaning.charged)
                return self._refusal(meaning, error)
            charge.used = usage_of(completion)
            try:
                reply = read_reply(completion)
            except Malformed as error:
                return self._refusal(Retry(str(error)), error)
            except ValueError as error:
                raise ValueError(f"{self.endpoint.typed('url')}: {error}") from error
        self.pace.correct(expected, reply.input_tokens + reply.output_tokens)
        self.ledger.reply_from(reply.model)
        self.unusual["several choices, of which the first is used"] += reply.choices > 1
        return reply

    def _send(self, request: Request) -> Any:
        api = self.client.chat.completions if "messages" in request.body else self.client.completions
        return api.create(model=self.endpoint.model, **request.body)

    def _refusal(self, meaning: Retry | Refusal | ValueError, error: Exception) -> Refusal:
        """Return a refusal; raise anything else that an error means."""
        if isinstance(meaning, Refusal):
            return meaning
        if isinstance(meaning, Retry):
            self.unusual[meaning.reason.partition(":")[0]] += 1
            self.alive()
            if meaning.after is not None:
                self.pace.pause(meaning.after)
        raise meaning from error

    def _sleep(self, seconds: float) -> None:
        if self.stopping.wait(seconds):
            raise Cancelled


def _after(state: Any) -> float | None:
    """Return the seconds that the server has asked to wait after a failed attempt; None if it has not."""
    error = state.outcome.exception()
    return error.after if isinstance(error, Retry) else None
