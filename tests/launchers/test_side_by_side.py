"""However a command ends, what it started is told, and ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = """
import subprocess, sys
from pathlib import Path
from apm_exp.runtime.command_lock import jobs

jobs.begin(Path("locks"))
job = subprocess.Popen([sys.executable, "job.py"])
print(job.pid, flush=True)
job.wait()
sys.exit(jobs.end())
"""
JOB = """
import signal, sys, time
from pathlib import Path
from apm_exp.runtime import command_lock as side_by_side
from apm_exp.runtime.signals import Stopped, stop_on_sigterm

side_by_side._SECONDS_TO_END = 0.5
stop_on_sigterm()
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
side_by_side.stop_with_command()
assert side_by_side.end_of_command() is None
Path("begun").touch()
try:
    time.sleep(60)
except BaseException as end:
    Path("ended").write_text(f"{type(end).__name__} {side_by_side.end_of_command()}")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    ("number", "code", "ended"),
    [
        (signal.SIGTERM, 143, "Stopped 15"),
        (signal.SIGINT, 130, "KeyboardInterrupt 2"),
        (signal.SIGKILL, -9, "Stopped 9"),
    ],
)
def test_a_job_ends_with_its_command(number: signal.Signals, code: int, ended: str, tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB)
    command = subprocess.Popen([sys.executable, "-c", COMMAND], cwd=tmp_path, env=_environment())
    _until((tmp_path / "begun").exists)
    os.kill(command.pid, number)
    assert command.wait(30) == code
    _until((tmp_path / "ended").exists)
    _until(lambda: (tmp_path / "ended").read_text() == ended)


def _environment() -> dict[str, str]:
    return dict(os.environ) | {"PYTHONPATH": str(Path(__file__).parents[2])}


def _until(there) -> None:
    deadline = time.monotonic() + 30
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)
