"""Where a result comes from: commit, uncommitted changes, command, versions, hardware."""

import functools
import importlib.metadata
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apm_exp.models.device import count_gpus

_PACKAGES = (
    *("apm-exp", "torch", "transformers", "trl", "deepspeed", "accelerate", "datasets", "tokenizers"),
    *("hydra-core", "omegaconf", "numpy", "pyarrow", "wandb"),
)


def _git(*arguments: str) -> str | None:
    """What git says of the checkout that this package lives in, or None where there is none."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return None


@functools.cache
def versions() -> dict[str, str | None]:
    """The version of each package that a result may depend on; None where one is not installed (DeepSpeed)."""
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
    """Commit, diff against it, argv, package versions, hardware and start time (UTC) of this process."""
    commit = _git("rev-parse", "HEAD")
    return {
        "commit": commit.strip() if commit else None,
        "uncommitted_diff": _git("diff", "HEAD"),
        "argv": sys.argv,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": versions(),
        "hardware": _hardware(),
    }
