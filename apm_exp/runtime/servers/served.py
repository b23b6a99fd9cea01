"""A server on this machine, in an environment of its own, for as long as a block: started, watched and stopped."""

import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from apm_exp.core.environment import without_launcher
from apm_exp.runtime.servers import guard_main

_PAUSE = 0.1  # seconds between two looks at a server that is starting
_LINES, _CHARACTERS = 5, 500  # of the log, in an error
_OF_OUR_PYTHON = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "VIRTUAL_ENV", "OMP_NUM_THREADS")
_LATER = "finished work is kept; re-run the same command to resume"


@contextmanager
def served(
    place: str,
    command: Sequence[str],
    health: str,
    log: Path,
    *,
    startup_timeout: float,
    seconds_to_end: float,
    variables: dict[str, str],
) -> Iterator[Callable[[], None]]:
    """Run a server inside the block, from when its address `health` replies with status 200.

    Yields a function that raises ValueError, with the log's last lines, if the server has ended. After the block, or if
    this process ends in any way, the server and all that it has started are gone (guard_main.py); it has
    `seconds_to_end` after SIGTERM. variables: of its environment, besides those of this process that are not about this
    Python. place: of the settings, for messages. Raises ValueError if the server ends, or is not healthy within
    startup_timeout.
    """
    guard = [sys.executable, "-I", guard_main.__file__, str(seconds_to_end), *command]
    kept = {name: value for name, value in without_launcher(os.environ).items() if name not in _OF_OUR_PYTHON}
    with log.open("wb") as lines:
        process = subprocess.Popen(
            guard,
            stdin=subprocess.PIPE,
            stdout=lines,
            stderr=subprocess.STDOUT,
            env=kept | variables,
            start_new_session=True,  # so that Ctrl-C and kill -9 of a group reach it only through the pipe
        )

    def alive() -> None:
        if process.poll() is not None:
            problem = f"the server has ended with code {process.returncode}{last_lines(log)}"
            raise ValueError(f"{place}.command={shlex.join(command[:2])}: {problem}; {_LATER}")

    try:
        deadline = time.monotonic() + startup_timeout
        while not _is_healthy(health):
            alive()
            if time.monotonic() > deadline:
                problem = f"the server is not healthy after so many seconds{last_lines(log)}"
                raise ValueError(f"{place}.startup_timeout={startup_timeout:g}: {problem}; {_LATER}")
            time.sleep(_PAUSE)
        yield alive
    finally:
        assert process.stdin is not None
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds_to_end + 30)


def last_lines(log: Path) -> str:
    """Return the last lines of a log for an error, and where it is."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    shown = " | ".join(lines[-_LINES:])[-_CHARACTERS:]
    return f"; its last lines: {shown} (all: {log})" if lines else f"; it has said nothing ({log})"


def port_for(place: str, port: int | None) -> int:
    """Return a free port of 127.0.0.1, or the given one. Raises ValueError if that is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port or 0))
        except OSError as error:
            problem = f"cannot be used ({error.strerror}); give another, or null for a free one"
            raise ValueError(f"{place}.port={port}: {problem}") from error
        return int(probe.getsockname()[1])


def _is_healthy(address: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(address, timeout=5) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False
