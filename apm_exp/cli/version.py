"""The text of `--version`."""

import platform
from importlib.metadata import PackageNotFoundError, version

import apm_exp

_LIBRARIES = ("torch", "transformers", "trl", "deepspeed", "hydra-core")  # those that results and messages depend on


def version_text() -> str:
    """Return the versions of apm_exp, of Python and of the main libraries, without importing them."""
    versions = [f"Python {platform.python_version()}", *(f"{name} {_installed(name)}" for name in _LIBRARIES)]
    return f"apm_exp {apm_exp.__version__} ({', '.join(versions)})"


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
