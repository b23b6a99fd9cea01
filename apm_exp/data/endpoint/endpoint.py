"""The settings of an OpenAI-compatible endpoint, as a component: a node `endpoint` of a sampler or of a judge."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from apm_exp.core import component
from apm_exp.core.component import UNHASHED
from apm_exp.core.ranges import NotNegative

_LOOPBACK = ("localhost", "::1")
Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Endpoint:
    """The settings of an endpoint and of its requests; see `endpoint`.

    place, url_setting: the names of its node and of its address among the settings of the user, for messages.
    """

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
    place: str = "endpoint"
    url_setting: str | None = None

    def setting(self, name: str) -> str:
        """Return the name of a setting as the user types it."""
        return self.url_setting if name == "url" and self.url_setting else f"{self.place}.{name}"

    def typed(self, name: str) -> str:
        """Return a setting with its value, as `group.key=value`."""
        value = getattr(self, name)
        return f"{self.setting(name)}={f'{value:g}' if isinstance(value, float) else component.typed(value)}"

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """Return the price of so many tokens; 0 if the prices are unknown."""
        return (input_tokens * (self.input_price or 0) + output_tokens * (self.output_price or 0)) / 1e6

    @property
    def is_loopback(self) -> bool:
        """Return whether the server is on this machine."""
        host = urlsplit(self.url).hostname or ""
        return host in _LOOPBACK or host.startswith("127.")


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


def endpoint_of(place: str, node: Mapping[str, Any]) -> Endpoint:
    """Return the endpoint of a node, which messages call `place`. Raises ValueError as component.bind."""
    return replace(component.bind(place, node)(), place=place)


def key_of(endpoint: Endpoint) -> str:
    """Return the API key from its environment variable; "none" if the server needs none.

    Raises ValueError if the variable is not set.
    """
    if endpoint.key_variable is None:
        return "none"
    key = os.environ.get(endpoint.key_variable, "").strip()
    if not key:
        problem = "this environment variable is not set; export it, or give null if the server needs no key"
        raise ValueError(f"{endpoint.typed('key_variable')}: {problem}")
    return key
