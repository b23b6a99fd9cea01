"""Whatever ends first, the owner, the guard or the server: nothing that the server has started is left."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from apm_exp.runtime.servers import guard_main

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="orphans are found on Linux only")
# A server that leaves a child in its group and one in a session of its own; all of them ignore SIGTERM.
SERVER = """
import json, os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = [sys.executable, "-S", "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(300)"]
pids = [os.getpid(), subprocess.Popen(child).pid, subprocess.Popen(child, start_new_session=True).pid]
print(json.dumps(pids), flush=True)
if len(sys.argv) > 1:
    sys.exit(int(sys.argv[1]))
time.sleep(300)
"""


def guarded(*arguments: str, seconds: float = 0.2) -> tuple[subprocess.Popen[bytes], list[int]]:
    """A guard with the server, and the ids of the processes of the server."""
    command = [sys.executable, "-I", guard_main.__file__, str(seconds), sys.executable, "-S", "-c", SERVER, *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    guard = subprocess.Popen(command, **pipes, start_new_session=True)  # type: ignore[call-overload]
    return guard, json.loads(guard.stdout.readline())


def assert_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while left := [pid for pid in pids if psutil.pid_exists(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def ended(guard: subprocess.Popen[bytes]) -> int:
    assert guard.stdin is not None
    assert guard.stdout is not None
    guard.stdin.close()
    guard.stdout.close()
    return guard.wait(10)


def test_the_end_of_the_owner_ends_all() -> None:
    guard, pids = guarded()
    assert all(map(psutil.pid_exists, pids))
    assert ended(guard) == 0
    assert_gone(pids)


def test_a_server_that_ends_by_itself_leaves_no_child_and_its_code_is_told() -> None:
    guard, pids = guarded("7")
    assert guard.wait(10) == 7
    assert_gone(pids)
    ended(guard)


def test_signals_of_a_terminal_do_not_end_the_guard() -> None:
    guard, pids = guarded()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(guard.pid, number)
    time.sleep(0.2)
    assert guard.poll() is None
    ended(guard)
    assert_gone(pids)


def test_kill_9_of_the_guard_ends_the_server() -> None:
    guard, pids = guarded()
    guard.kill()
    guard.wait()
    try:
        assert_gone(pids[:1])
    finally:
        for pid in pids[1:]:  # nobody is left to find them
            os.kill(pid, signal.SIGKILL)
        ended(guard)


def test_a_program_that_cannot_be_started_is_said() -> None:
    command = [sys.executable, "-I", guard_main.__file__, "1", "/no/such/program"]
    ended_at_once = subprocess.run(command, stdin=subprocess.PIPE, capture_output=True, text=True, timeout=20)
    assert (ended_at_once.returncode, ended_at_once.stdout) == (127, "/no/such/program: No such file or directory\n")
