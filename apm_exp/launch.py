"""The parent's side of a job: one fresh process for each, forked from a server that has the heavy imports."""

import multiprocessing
from multiprocessing.process import BaseProcess

from apm_exp.worker import FAILURE, Request, work

_PRELOADED = ["torch", "transformers", "apm_exp.preload"]


def start(task: str, requests: list[Request], *, preload: bool = False) -> int:
    """Do `task` in a process of its own and return its exit code.

    preload: import the heavy packages once in the server, for many jobs in one command; the parent never does.
    """
    context = multiprocessing.get_context("forkserver")
    if preload:
        context.set_forkserver_preload(_PRELOADED)
    process: BaseProcess = context.Process(target=work, args=(task, requests))
    process.start()
    _wait(process)
    return FAILURE if process.exitcode is None or process.exitcode < 0 else process.exitcode


def _wait(process: BaseProcess) -> None:
    """Wait for the worker; the terminal's Ctrl-C reaches it as well, and it ends on its own."""
    while process.is_alive():
        try:
            process.join()
        except KeyboardInterrupt:
            continue
