"""Checks of an endpoint before any work. A component with an endpoint calls them in its `check` and its `ready`."""

import logging
import re
from functools import cache
from urllib.parse import urlsplit

from apm_exp.core.component import nearest
from apm_exp.data.endpoint.client import client_of, import_openai
from apm_exp.data.endpoint.endpoint import Endpoint
from apm_exp.data.endpoint.failures import failure

logger = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_SECONDS = 10.0  # to wait for the list of models
_ATTEMPTS = 2


def check_endpoint(endpoint: Endpoint) -> None:
    """Raise ValueError for settings that do not fit together, and for a key in a setting, which is not repeated."""
    parts = urlsplit(endpoint.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{endpoint.typed('url')}: not an http(s) address; give one as https://HOST/v1")
    if parts.query or parts.username or parts.password:
        problem = "has a query, a user or a password, and settings are written to files"
        raise ValueError(f"{endpoint.setting('url')}=...: {problem}; leave it out")
    if endpoint.key_variable is not None and not _NAME.fullmatch(endpoint.key_variable):
        problem = "not the name of an environment variable"
        raise ValueError(f"{endpoint.place}.key_variable=...: {problem}; put the key into one, and give its name here")
    if (endpoint.input_price is None) != (endpoint.output_price is None):
        raise ValueError(f"{endpoint.place}.input_price, {endpoint.place}.output_price: give both, or neither")
    if endpoint.max_cost is not None and endpoint.input_price is None:
        problem = "the prices are unknown, so the cost cannot be counted"
        remedy = f"give {endpoint.place}.input_price and {endpoint.place}.output_price"
        raise ValueError(f"{endpoint.typed('max_cost')}: {problem}; {remedy}")


def check_ready(endpoint: Endpoint) -> None:
    """Raise ValueError for what a run needs and a plan does not: packages, key, stated ceiling, and a server there."""
    import_openai()
    if endpoint.max_cost is None and not endpoint.is_loopback:
        _refuse_unlimited(endpoint)
    _reach(endpoint)


def _refuse_unlimited(endpoint: Endpoint) -> None:
    """Raise ValueError unless the prices are 0: nothing is paid without a stated ceiling."""
    if endpoint.input_price is None:
        prices = f"{endpoint.place}.input_price and {endpoint.place}.output_price"
        remedy = f"give {prices} per million tokens (0 and 0 if it is free)"
        raise ValueError(f"{endpoint.typed('url')}: its prices are unknown, and so is what a run would pay; {remedy}")
    if endpoint.input_price or endpoint.output_price:
        raise ValueError(
            f"{endpoint.place}.max_cost=null: nothing is paid without a ceiling; give {endpoint.place}.max_cost=AMOUNT"
        )


@cache  # the jobs of a sweep have the same endpoint
def _reach(endpoint: Endpoint) -> None:
    """Raise ValueError if the server cannot be reached or refuses the key; asks for its list of models.

    Any other reply counts as reached, as some servers have no such list. Warns if the model is not in the list, since
    some lists lack names that the server takes.
    """
    openai = import_openai()
    with client_of(endpoint) as client:
        for attempt in range(_ATTEMPTS):
            try:
                names = [model.id for model in client.models.list(timeout=_SECONDS)]
                if names and endpoint.model and endpoint.model not in names:
                    listed = f"not in the server's list of models; {nearest(endpoint.model, names)}"
                    logger.warning("%s: %s", endpoint.typed("model"), listed)
                return
            except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
                raise failure(error, endpoint) from error  # type: ignore[misc]
            except openai.APIConnectionError as error:
                if attempt == _ATTEMPTS - 1:
                    problem = f"the server cannot be reached ({failure(error, endpoint).reason})"  # type: ignore[union-attr]
                    raise ValueError(f"{endpoint.typed('url')}: {problem}; start it, or correct the address") from error
            except (openai.OpenAIError, ValueError):
                return
