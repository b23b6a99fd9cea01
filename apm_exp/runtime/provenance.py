"""The provenance of a result: commit, uncommitted changes, command, versions, hardware."""

import functools
import importlib.metadata
import os
import platform
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apm_exp.core.credentials import line_looks_secret
from apm_exp.runtime.device import count_gpus

_MOST_BYTES = 1_000_000  # maximum size of a diff
_SECONDS = 10.0  # timeout of git

_PACKAGES = (
    *("apm-exp", "torch", "transformers", "trl", "deepspeed", "accelerate", "datasets", "tokenizers"),
    *("hydra-core", "omegaconf", "numpy", "pyarrow", "wandb"),
)


def _git(*arguments: str, most: int = _MOST_BYTES) -> bytes | None:
    """Return git's output for the checkout of this package, at most `most` + 1 bytes; None if git fails or there is no
    checkout.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        with subprocess.Popen(
            ["git", "-C", str(root), *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            timer = threading.Timer(_SECONDS, process.kill)
            timer.start()
            said = process.stdout.read(most + 1)
            if len(said) > most:
                process.kill()
            timer.cancel()
    except OSError:
        return None
    return said if process.returncode == 0 or len(said) > most else None


def uncommitted(diff: bytes | None) -> dict[str, Any]:
    """Return the diff of the checkout without lines that look like secrets, and what was left out.

    A diff of more than _MOST_BYTES is left out.
    """
    if diff is not None and len(diff) > _MOST_BYTES:
        return {"uncommitted_diff": None, "uncommitted_diff_left_out": f"larger than {_MOST_BYTES:,} bytes"}
    if not diff:
        return {"uncommitted_diff": None if diff is None else ""}
    lines = diff.decode(errors="replace").splitlines(keepends=True)
    kept = [line for line in lines if not line_looks_secret(line)]
    left_out = len(lines) - len(kept)
    said = {"uncommitted_diff_left_out": f"{left_out} lines that look like secrets"} if left_out else {}
    return {"uncommitted_diff": "".join(kept), **said}


@functools.cache
def versions() -> dict[str, str | None]:
    """Return the version of each package that a result may depend on; None if one is not installed (as DeepSpeed)."""
    return {name: _version(name) for name in _PACKAGES}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cards() -> list[str]:
    gpus = count_gpus()
    if not gpus:
        return []
    import torch

    return [torch.cuda.get_device_name(index) for index in range(gpus)]


def _hardware() -> dict[str, Any]:
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "gpus": _cards(),
        "system": platform.platform(),
    }


@functools.cache
def provenance() -> dict[str, Any]:
    """Return the commit, uncommitted diff, argv, package versions, hardware and start time (UTC) of this process."""
    commit = _git("rev-parse", "HEAD")
    return {
        "commit": commit.decode().strip() if commit else None,
        **uncommitted(_git("diff", "HEAD")),
        "argv": ["..." if line_looks_secret(word) else word for word in sys.argv],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": versions(),
        "hardware": _hardware(),
    }
