"""The parent's side of a job: one fresh process for each, forked from a server that has the heavy imports."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess

from apm_exp.worker import FAILURE, Request, work

_SECONDS_TO_END = 10  # after Ctrl-C: ranks take some
_PRELOADED = ["torch", "transformers", "apm_exp.preload"]


def start(task: str, requests: list[Request], *, preload: bool = False) -> int:
    """Do `task` in a process of its own and return its exit code.

    preload: import the heavy packages once in the server, for many jobs in one command; the parent never does.
    """
    context = multiprocessing.get_context("forkserver")
    if preload:
        context.set_forkserver_preload(_PRELOADED)
    process: BaseProcess = context.Process(target=work, args=(task, requests))
    with _ctrl_c_held_back():
        process.start()
    _wait(process)
    if process.exitcode is None or process.exitcode < 0:
        print(f"error: {_killed(process.exitcode)}", file=sys.stderr)
        return FAILURE
    return process.exitcode


def _killed(code: int | None) -> str:
    """What there is to say of a worker that could not say it itself."""
    name = signal.Signals(-code).name if code else "an unknown signal"
    cause = "; the system does so where memory runs out" if name == "SIGKILL" else ""
    return f"the job was killed ({name}{cause}); finished steps stay, and the same command goes on from here"


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Keep Ctrl-C from processes that are still starting; a worker takes it, late, once it can answer."""
    resource_tracker.ensure_running()  # it lets Ctrl-C through when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(process: BaseProcess) -> None:
    """Wait for the worker; the terminal's Ctrl-C reaches it as well, and it ends on its own.

    It is told again where it does not: it may have been in code that lets no exception through, and a signal may
    have been sent to this process alone.
    """
    interrupted = False
    while process.is_alive():
        try:
            process.join(_SECONDS_TO_END if interrupted else None)
            if interrupted and process.is_alive() and process.pid:
                os.kill(process.pid, signal.SIGINT)
        except KeyboardInterrupt:
            interrupted = True
