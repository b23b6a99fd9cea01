"""Running the command line as a user does, on a micro world that is small enough for a test."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

SMALL = [
    "dataset.prompts=60",
    "model.steps=30",
    "evals.win_rate.prompts.prompts=16",
    "evals.win_rate.generate.samples=1",
]
SECONDS = 280
_STARTING = threading.Lock()
_OFFLINE = {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"}


def small(*settings: str) -> list[str]:
    """These settings, and those of SMALL that they leave."""
    given = {setting.partition("=")[0] for setting in settings}
    return [*(setting for setting in SMALL if setting.partition("=")[0] not in given), *settings]


def environment() -> dict[str, str]:
    """The test's environment, without network, without a login."""
    kept = {k: v for k, v in os.environ.items() if k not in ("WANDB_API_KEY", "HF_TOKEN", "HYDRA_FULL_ERROR")}
    return kept | _OFFLINE


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "apm_exp", *arguments]


def started(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m apm_exp <arguments>` in `folder`, from a new interpreter: a test of what is imported needs that."""
    return subprocess.run(
        command(*arguments), cwd=folder, env=environment(), capture_output=True, text=True, timeout=SECONDS
    )


def apm_exp(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m apm_exp <arguments>` in `folder`; its outputs go to folder/outputs.

    It is forked from a process that has imported everything, as the jobs of a multirun are, and so is its worker: the
    imports take 5 s of a processor, and the suite types some 200 commands.
    """
    with tempfile.TemporaryDirectory() as streams:
        process = _server().Process(target=_main, args=(folder, arguments, environment(), streams))
        process.start()
        process.join(SECONDS)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(command(*arguments), SECONDS)
        out, err = ((Path(streams) / name).read_text() for name in ("out", "err"))
    return subprocess.CompletedProcess(command(*arguments), process.exitcode, out, err)


def _server() -> Any:
    """multiprocessing's fork server, with the imports, which read the offline variables."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["apm_exp.jobs.preload", "apm_exp.cli.app", "apm_exp.cli.multirun.job_function", "tests.command"]
    )
    with _STARTING, pytest.MonkeyPatch.context() as patch:
        for name, value in _OFFLINE.items():
            patch.setenv(name, value)
        forkserver.ensure_running()
    return context


def _main(folder: Path, arguments: tuple[str, ...], environ: dict[str, str], streams: str) -> None:
    """The child: what a new interpreter would find, then apm_exp's own main."""
    from apm_exp import __main__
    from apm_exp.cli import app as application

    os.chdir(folder)
    for number, name in enumerate(("out", "err"), start=1):
        os.dup2(os.open(Path(streams) / name, os.O_CREAT | os.O_WRONLY | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = [str(Path(application.__file__).with_name("__main__.py")), *arguments]
    fork = multiprocessing.get_context("fork")
    multiprocessing.get_context = lambda _=None: SimpleNamespace(  # type: ignore[assignment]
        Process=fork.Process, set_forkserver_preload=lambda _: None
    )
    forkserver.ensure_running = lambda: None
    __main__.main()


def small_run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A small run of the micro world, without W&B."""
    return apm_exp(folder, *_flags(arguments), "tracking=none", *small(*_settings(arguments)))


def _flags(arguments: tuple[str, ...]) -> list[str]:
    return [argument for argument in arguments if argument.startswith("-")]


def _settings(arguments: tuple[str, ...]) -> list[str]:
    return [argument for argument in arguments if not argument.startswith("-")]


def folders(root: Path, kind: str) -> list[Path]:
    """The finished artifacts of a kind below root/outputs."""
    return sorted(done.parent for done in (root / "outputs" / kind).glob("*/done"))
