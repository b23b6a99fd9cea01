"""The parent's side of a job: a new process for each job, forked from a server that has imported heavy packages."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from typing import Any

from apm_exp.core.errors import FAILURE, INTERRUPTED, INTERRUPTION, print_error
from apm_exp.jobs.request import Request
from apm_exp.jobs.worker import work

_SECONDS_TO_END = 10  # after Ctrl-C or SIGTERM; ranks need some of them
_PRELOADED = ["apm_exp.cli.fork_server", "torch", "transformers", "apm_exp.jobs.preload"]


def make_ready() -> None:
    """Start the fork server, whose heavy imports continue in the background."""
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
    """Run `task` in its own process and return its exit code.

    preload: import the heavy packages in the fork server, for many jobs in one command; the parent never imports them.
    alone: spawn the process instead of forking it from the server, if it probably does not need the imports.
    environment: additional variables of the process; the server has those at its start.
    """
    context: Any = multiprocessing.get_context("spawn" if alone else "forkserver")
    if preload and not alone:
        context.set_forkserver_preload(_PRELOADED)
    process: BaseProcess = context.Process(target=work, args=(task, requests, dict(environment or {})))
    with _sigterm_passed_on(process) as sent:
        with _signals_held_back():
            process.start()
        _wait(process, sent)
    if process.exitcode == -signal.SIGINT:  # it came while the process was starting or ending
        print_error(INTERRUPTION)
        return INTERRUPTED
    if process.exitcode is None or process.exitcode < 0:
        print(f"error: {_killed(process.exitcode)}", file=sys.stderr)
        return FAILURE
    return process.exitcode


def _killed(code: int | None) -> str:
    """Return the message for a worker that was killed."""
    name = signal.Signals(-code).name if code else "an unknown signal"
    cause = "; this happens if memory runs out" if name == "SIGKILL" else ""
    return f"the job was killed ({name}{cause}); finished steps are kept; re-run the same command to resume"


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Block Ctrl-C and SIGTERM for processes that are starting; a worker receives them once it can handle them.

    The fork server never receives them, as the worker's exit code is passed through it.
    """
    resource_tracker.ensure_running()  # it unblocks both signals when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _sigterm_passed_on(process: BaseProcess) -> Iterator[list[signal.Signals]]:
    """Pass SIGTERM to the worker, which then ends in good order; yields the list of signals that were sent."""
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
    """Wait for the worker; a terminal's Ctrl-C reaches it too, and it ends on its own.

    If it does not end, the signal is sent again: the worker may have been in code that suppresses exceptions, and
    Ctrl-C may have been sent to this process only. sent: the signals sent so far.
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
