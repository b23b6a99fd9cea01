"""Run a server, and end all that it has started when its owner ends: `guard_main.py SECONDS PROGRAM ARGUMENT...`.

Standard input is a pipe from the owner, which the system closes however the owner ends, kill -9 included. The
server then has so many seconds to end by itself after SIGTERM. Processes that it has started, also in sessions of their
own, become children of this one when their parents end (on Linux), so none is left behind. This process is in a session
of its own, imports only the standard library, and exits with the server's code.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_PAUSE = 0.05  # seconds
_SECONDS_AFTER_ITS_END = 1.0  # for what a server that has ended by itself leaves behind
_IS_LINUX = sys.platform == "linux"


def main(seconds: float, command: list[str]) -> int:
    """Run the command until it ends or standard input does; return its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # only the pipe counts; unlike SIG_IGN, the server does not inherit this
    if _IS_LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_end_with_guard)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", flush=True)
        return 127
    while server.poll() is None and not select.select([sys.stdin], [], [], _PAUSE)[0]:
        pass
    code = server.returncode
    _end(server.pid, seconds if code is None else _SECONDS_AFTER_ITS_END)
    return 0 if code is None else code % 256


def _end_with_guard() -> None:
    if _IS_LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(group: int, seconds: float) -> None:
    """End the server's process group and all other children of this process, at last by SIGKILL."""
    _signal_group(group, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while _has_children() and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    while _has_children():
        _signal_group(group, signal.SIGKILL)
        for child in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        time.sleep(_PAUSE)


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _has_children() -> bool:
    """Return whether any child is left, after those that have ended are reaped."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _children() -> list[int]:
    """Return the ids of this process's children; on Linux only."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat") if _IS_LINUX else ():
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            found += [int(stat.parent.name)] * (parent == os.getpid())
    return found


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
