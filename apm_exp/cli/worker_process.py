"""The parent's side of a job: one fresh process for each, forked from a server that has the heavy imports."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from typing import Any

from apm_exp.core.errors import FAILURE
from apm_exp.jobs.request import Request
from apm_exp.jobs.worker import work

_SECONDS_TO_END = 10  # after Ctrl-C or SIGTERM: ranks take some
_PRELOADED = ["apm_exp.cli.fork_server", "torch", "transformers", "apm_exp.jobs.preload"]


def make_ready() -> None:
    """Start the server with the heavy imports, which go on while this process does something else."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(_PRELOADED)
    with _signals_held_back():
        forkserver.ensure_running()


def start(
    task: str,
    requests: list[Request],
    *,
    preload: bool = False,
    alone: bool = False,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Do `task` in a process of its own and return its exit code.

    preload: import the heavy packages once in the server, for many jobs in one command; the parent never does.
    alone: not from the server, which is then still to be started: likely there is nothing to do that needs it.
    environment: what the process's has besides; the server's is that of its start.
    """
    context: Any = multiprocessing.get_context("spawn" if alone else "forkserver")
    if preload and not alone:
        context.set_forkserver_preload(_PRELOADED)
    process: BaseProcess = context.Process(target=work, args=(task, requests, dict(environment or {})))
    with _sigterm_passed_on(process) as sent:
        with _signals_held_back():
            process.start()
        _wait(process, sent)
    if process.exitcode is None or process.exitcode < 0:
        print(f"error: {_killed(process.exitcode)}", file=sys.stderr)
        return FAILURE
    return process.exitcode


def _killed(code: int | None) -> str:
    """What there is to say of a worker that could not say it itself."""
    name = signal.Signals(-code).name if code else "an unknown signal"
    cause = "; the system does so where memory runs out" if name == "SIGKILL" else ""
    return f"the job was killed ({name}{cause}); finished steps are kept; re-run the same command to resume"


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Keep Ctrl-C and SIGTERM from processes that are still starting; a worker takes them, late, once it can answer.

    The fork server never does: the worker's exit code comes through it.
    """
    resource_tracker.ensure_running()  # it lets both through when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _sigterm_passed_on(process: BaseProcess) -> Iterator[list[signal.Signals]]:
    """In the block SIGTERM goes to the worker, which ends in good order; what was sent is in the list."""
    sent: list[signal.Signals] = []

    def pass_on(*_: object) -> None:
        sent.append(signal.SIGTERM)
        _send(process, signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        yield sent
    finally:
        signal.signal(signal.SIGTERM, before)


def _wait(process: BaseProcess, sent: list[signal.Signals]) -> None:
    """Wait for the worker; the terminal's Ctrl-C reaches it as well, and it ends on its own.

    It is told again where it does not: it may have been in code that lets no exception through, and a Ctrl-C may
    have been sent to this process alone. sent: what it was told already.
    """
    while process.is_alive():
        try:
            process.join(_SECONDS_TO_END)
            if sent and process.is_alive():
                _send(process, sent[-1])
        except KeyboardInterrupt:
            sent.append(signal.SIGINT)


def _send(process: BaseProcess, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        if process.pid:
            os.kill(process.pid, number)
