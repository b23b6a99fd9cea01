"""Detection of credentials, which must never be in a configuration."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

_SECRET_KEY = re.compile(
    r"(^|[._+])[a-z0-9_]*(token|secret|password|passwd|(api|access|private)_?key|credential)s?$", re.IGNORECASE
)
_NOT_SECRET = re.compile(
    r"(max|min|num|new|pad|bos|eos|per|special|add)[a-z_]*_tokens?$|tokens_per|_token_id$|(^|[._+])tokens$"
)
_SECRET_VALUE = re.compile(
    r"\bhf_(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])[A-Za-z0-9]{20,}"  # mixed case: hf_ultrafeedback is a name
    r"|\bsk-[A-Za-z0-9_-]{16,}|\bsk_live_[A-Za-z0-9]{16,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{16,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{16,}"
    r"|\b(AKIA|ASIA)[A-Z0-9]{12,}|\bAIza[A-Za-z0-9_-]{30,}|\bxox[a-z]-[A-Za-z0-9-]{10,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}"  # a JSON web token
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|://[^/\s:@]*:[^/\s@]+@"  # a URL with a password
)
_SECRET_NAME = re.compile(r"(TOKEN|SECRET|PASSWORD|PASSWD|PASS|KEY|CREDENTIALS?)$", re.IGNORECASE)
_ENVIRONMENT = re.compile(r"\$\{\s*oc\.env\s*:\s*([^},\s]+)")
# one word of letters and digits that is not a path
_RANDOM = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_+=-]{32,}")
_SETTING = re.compile(r"""[-+ \t'"]*(?:export\s+)?(?P<key>[\w.]+)['"]?\s*[:=](?P<value>.*)""")


def looks_secret(key: str, value: Any) -> bool:
    """Return whether a setting seems to hold a credential, by its name (if it has a value) or its value's form."""
    named = bool(_SECRET_KEY.search(key)) and not _NOT_SECRET.search(key)
    return (named and value not in (None, "", "null")) or bool(_SECRET_VALUE.search(str(value)))


def line_looks_secret(line: str) -> bool:
    """Return whether a line of text looks like a credential or like the setting of one: `+API_KEY = ...`."""
    named = _SETTING.match(line)
    return looks_secret("", line) or (named is not None and looks_secret(named["key"], named["value"].strip()))


def refuse_secrets(settings: Iterable[tuple[str, Any]]) -> None:
    """Raise ValueError if a setting looks like a credential; the message does not repeat the value."""
    for key, value in settings:
        if looks_secret(key, value):
            remedy = "pass credentials only as environment variables (HF_TOKEN, WANDB_API_KEY); nothing was written"
            raise ValueError(f"{key}=...: looks like a secret; {remedy}")


def refuse_secrets_of_environment(typed: Any, resolved: Any) -> None:
    """Raise ValueError if the value of a `${oc.env:NAME}` looks like a credential; the message does not repeat the
    value.

    typed, resolved: the configuration before and after interpolation.
    """
    values = dict(flatten(resolved))
    for key, text in flatten(typed):
        for name in _ENVIRONMENT.findall(str(text)):
            value = values.get(key)
            named = bool(_SECRET_NAME.search(name)) and value not in (None, "")
            if named or looks_secret(key, value) or _RANDOM.fullmatch(str(value)):
                problem = f"the value of ${{oc.env:{name}}} looks like a secret, and settings are written to files"
                raise ValueError(f"{key}=...: {problem}; remove it, nothing was written")


def flatten(node: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yield every setting of a nested configuration as (dotted key, value)."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from flatten(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, node


def refuse_secret_overrides(overrides: Iterable[str]) -> None:
    """Check `key=value` texts of a command line as refuse_secrets does."""
    refuse_secrets((key.lstrip("+~"), value) for key, _, value in (text.partition("=") for text in overrides))
