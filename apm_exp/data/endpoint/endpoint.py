"""The settings of an OpenAI-compatible endpoint, as a component: a node `endpoint` of a sampler or of a judge."""

import os
import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from apm_exp.core.component import UNHASHED
from apm_exp.core.ranges import NotNegative

_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_LOOPBACK = ("localhost", "::1")
Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Endpoint:
    """An endpoint and how it is asked; see `endpoint`."""

    url: str
    model: str
    key_variable: str | None
    concurrency: int
    requests_per_minute: float | None
    tokens_per_minute: float | None
    attempts: int
    backoff: float
    timeout: float
    input_price: float | None
    output_price: float | None
    max_cost: float | None

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """Return the price of so many tokens; 0 if the prices are unknown."""
        return (input_tokens * (self.input_price or 0) + output_tokens * (self.output_price or 0)) / 1e6

    @property
    def is_loopback(self) -> bool:
        """Return whether the server is on this machine."""
        return is_loopback(self.url)


def endpoint(
    *,
    url: str,
    model: str,
    key_variable: Annotated[str | None, UNHASHED] = None,
    concurrency: Annotated[int, Field(ge=1, le=4096), UNHASHED] = 16,
    requests_per_minute: Annotated[Limit | None, UNHASHED] = None,
    tokens_per_minute: Annotated[Limit | None, UNHASHED] = None,
    attempts: Annotated[int, Field(ge=1, le=1000), UNHASHED] = 8,
    backoff: Annotated[Limit, UNHASHED] = 30.0,
    timeout: Annotated[Limit, UNHASHED] = 600.0,
    input_price: Annotated[NotNegative | None, UNHASHED] = None,
    output_price: Annotated[NotNegative | None, UNHASHED] = None,
    max_cost: Annotated[NotNegative | None, UNHASHED] = None,
) -> Endpoint:
    """Return the settings of an endpoint.

    url: up to and including /v1. model: its name on the server. key_variable: the environment variable with the API
    key; None if the server needs none. concurrency: requests at the same time. attempts: of a request that gets no
    usable reply; backoff: the most seconds between them, unless the server asks for more. timeout: seconds to wait for
    a reply. input_price, output_price: per million tokens, in one currency; None: unknown. max_cost: a ceiling of one
    step, in that currency.
    """
    return Endpoint(
        url.rstrip("/"),
        model,
        key_variable,
        concurrency,
        requests_per_minute,
        tokens_per_minute,
        attempts,
        backoff,
        timeout,
        input_price,
        output_price,
        max_cost,
    )


def check(
    *,
    url: str,
    key_variable: str | None = None,
    input_price: float | None = None,
    output_price: float | None = None,
    max_cost: float | None = None,
) -> None:
    """Raise ValueError for settings that do not fit together, and for a key in a setting, which is not repeated."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"endpoint.url={url}: not an http(s) address; give one as https://HOST/v1")
    if parts.query or parts.password:
        raise ValueError("endpoint.url=...: has a query or a password, and settings are written to files; leave it out")
    if key_variable is not None and not _NAME.fullmatch(key_variable):
        problem = "not the name of an environment variable"
        raise ValueError(f"endpoint.key_variable=...: {problem}; put the key into one, and give its name here")
    if (input_price is None) != (output_price is None):
        raise ValueError("endpoint.input_price, endpoint.output_price: give both, or neither")
    if max_cost is not None and input_price is None:
        problem = "the prices are unknown, so the cost cannot be counted"
        raise ValueError(f"endpoint.max_cost={max_cost:g}: {problem}; give endpoint.input_price and output_price")


def ready(
    *,
    url: str,
    key_variable: str | None = None,
    input_price: float | None = None,
    output_price: float | None = None,
    max_cost: float | None = None,
) -> None:
    """Raise ValueError for what a run needs and a plan does not: the key, and a stated ceiling of what is paid."""
    from apm_exp.data.endpoint.client import import_openai

    import_openai()
    key_of(key_variable)
    if max_cost is not None or is_loopback(url):
        return
    if input_price is None or output_price is None:
        remedy = "give endpoint.input_price and endpoint.output_price per million tokens (0 and 0 if it is free)"
        raise ValueError(f"endpoint.url={url}: its prices are unknown, and nothing is paid without a ceiling; {remedy}")
    if input_price or output_price:
        raise ValueError("endpoint.max_cost=null: nothing is paid without a ceiling; give endpoint.max_cost=AMOUNT")


def key_of(variable: str | None) -> str:
    """Return the API key from its environment variable; "none" if there is no variable. Raises ValueError if it is
    not set.
    """
    if variable is None:
        return "none"
    key = os.environ.get(variable, "").strip()
    if not key:
        problem = "this environment variable is not set"
        raise ValueError(f"endpoint.key_variable={variable}: {problem}; export it, or null if the server needs no key")
    return key


def is_loopback(url: str) -> bool:
    """Return whether an address is this machine's."""
    host = urlsplit(url).hostname or ""
    return host in _LOOPBACK or host.startswith("127.")
