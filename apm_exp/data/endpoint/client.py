"""The openai client, which is imported only if requests are sent."""

from typing import Any

from apm_exp.data.endpoint.endpoint import Endpoint, key_of

_INSTALL = "install them with: pip install -e '.[endpoint]'"


def import_openai() -> Any:
    """Return the module openai. Raises a one-line ValueError if it, or tenacity, is not installed."""
    try:
        import openai
        import tenacity  # noqa: F401
    except ImportError as error:
        raise ValueError(f"endpoint: {error}; requests to an endpoint need openai and tenacity; {_INSTALL}") from error
    return openai


def client_of(endpoint: Endpoint) -> Any:
    """Return a client of an endpoint, which several threads may use.

    It does not retry (ask.py does). A server on this machine is never asked through a proxy. Raises ValueError as
    import_openai and key_of.
    """
    openai = import_openai()
    direct = {"trust_env": False} if endpoint.is_loopback else {}
    http = openai.DefaultHttpxClient(**direct)
    return openai.OpenAI(
        api_key=key_of(endpoint),
        base_url=endpoint.url,
        timeout=endpoint.timeout,
        max_retries=0,
        http_client=http,
    )
