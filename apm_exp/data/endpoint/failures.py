"""Tell the errors of an endpoint apart: those to retry, those of one request, and those that end the work."""

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from apm_exp.core.types import Refusal
from apm_exp.data.endpoint.endpoint import Endpoint, key_of
from apm_exp.data.endpoint.replies import Malformed

_TOO_LONG = ("context length", "context_length", "context window", "maximum context", "max_model_len", "too long")
_FILTERED = ("content_filter", "content management policy", "content_policy")
_NOT_SENT = ("ConnectError", "ConnectTimeout")  # httpx's errors before anything was sent
_TO_RETRY = (408, 409, 425, 429)
_LONGEST_WAIT = 3600.0  # seconds
_LATER = "finished work is kept; re-run the same command to resume"


@dataclass
class Retry(Exception):
    """A failed attempt. after: seconds that the server asks to wait. charged: whether it may have been charged."""

    reason: str
    after: float | None = None
    charged: bool = True


def failure(error: Exception, endpoint: Endpoint) -> Retry | Refusal | ValueError:
    """Return what follows from an error: another attempt, a refusal of this request, or the end of all work.

    error: of the openai client, or a reply that cannot be read.
    """
    status = getattr(error, "status_code", None)
    if status is None:
        return _without_status(error)
    said = _without_key(" ".join(str(getattr(error, "message", error)).split()), endpoint)[:300]
    code = f"{getattr(error, 'code', None) or ''} {getattr(error, 'type', None) or ''}"
    if status == 429 and "insufficient_quota" in code:
        return ValueError(f"{endpoint.typed('url')}: the account has no credit left ({said}); {_LATER}")
    if status in _TO_RETRY or status >= 500:
        after = _retry_after(error)
        if after is not None and after > _LONGEST_WAIT:
            return ValueError(f"{endpoint.typed('url')}: the server asks to wait {after / 3600:.1f} h; {_LATER}")
        return Retry(f"HTTP {status}: {said}", after, charged=False)
    if status in (401, 402, 403):
        problem = f"the server refuses the key (HTTP {status}: {said})"
        return ValueError(f"{endpoint.typed('key_variable')}: {problem}; check the key, or null for none")
    if status == 404:
        problem = f"not known to the server (HTTP 404: {said})"
        return ValueError(f"{endpoint.typed('model')}: {problem}; give one of those that {endpoint.url}/models lists")
    return _of_request(status, said, code)


def _without_key(text: str, endpoint: Endpoint) -> str:
    """Return a server's message, which may repeat the key that it refuses, without it."""
    key = key_of(endpoint)
    return text if endpoint.key_variable is None else text.replace(key, "***")


def _of_request(status: int, said: str, code: str) -> Refusal:
    text = f"{said} {code}".lower()
    if status == 413 or any(words in text for words in _TOO_LONG):
        return Refusal("prompt too long", f"the server says: {said}")
    if any(words in text for words in _FILTERED):
        return Refusal("content filter", f"the server says: {said}")
    return Refusal("rejected by the server", f"HTTP {status}: {said}")


def _without_status(error: Exception) -> Retry:
    """Return the retry of an attempt without a reply: no connection, a timeout, half a reply, or no JSON."""
    cause: Any = error.__cause__ or error
    reason = str(error) if isinstance(error, Malformed) else f"{type(cause).__name__}: {str(cause) or error}"
    return Retry(" ".join(reason.split())[:300], charged=type(cause).__name__ not in _NOT_SENT)


def _retry_after(error: Exception) -> float | None:
    """Return the seconds of the header Retry-After, which may be a number or a date; None without one."""
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", {})
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):
        pass
    try:
        at, now = (parsedate_to_datetime(headers[name]) for name in ("retry-after", "date"))
        return max(0.0, (at - now).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None
