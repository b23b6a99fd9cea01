"""Running the command line as a user does, on a micro world that is small enough for a test."""

import os
import subprocess
import sys
from pathlib import Path

SMALL = [
    "dataset.prompts=60",
    "model.steps=30",
    "evals.win_rate.prompts=16",
    "evals.win_rate.samples=1",
]


def environment() -> dict[str, str]:
    """The test's environment, without network, without a login."""
    offline = {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"}
    kept = {k: v for k, v in os.environ.items() if k not in ("WANDB_API_KEY", "HF_TOKEN", "HYDRA_FULL_ERROR")}
    return kept | offline


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "apm_exp", *arguments]


def apm_exp(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m apm_exp <arguments>` in `folder`; its outputs go to folder/outputs."""
    return subprocess.run(
        command(*arguments), cwd=folder, env=environment(), capture_output=True, text=True, timeout=280
    )


def small_run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A small run of the micro world, without W&B."""
    return apm_exp(folder, *_flags(arguments), *SMALL, "tracking=none", *_settings(arguments))


def _flags(arguments: tuple[str, ...]) -> list[str]:
    return [argument for argument in arguments if argument.startswith("-")]


def _settings(arguments: tuple[str, ...]) -> list[str]:
    return [argument for argument in arguments if not argument.startswith("-")]


def folders(root: Path, kind: str) -> list[Path]:
    """The finished artifacts of a kind below root/outputs."""
    return sorted(done.parent for done in (root / "outputs" / kind).glob("*/done"))
