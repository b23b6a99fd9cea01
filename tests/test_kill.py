"""kill -9 at any step, then the same command: the same selection and the same weights as without."""

import hashlib
import os
import signal
import subprocess
import time
from pathlib import Path

from tests.command import SMALL, command, environment, folders, small_run

KINDS = ("models", "generations", "pairs", "rewards", "logps", "selection", "policy", "evaluation", "report")


def start_and_kill(root: Path, kind: str) -> None:
    """Start the job and kill its whole process group as soon as the step of this kind has a folder."""
    arguments = command(*SMALL, "tracking=none")
    process = subprocess.Popen(
        arguments, cwd=root, env=environment(), start_new_session=True, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list((root / "outputs" / kind).glob("*")) and process.poll() is None:
        assert time.monotonic() < deadline, f"{kind} never began"
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def results(root: Path) -> list[str]:
    (selected,), (policy,) = folders(root, "selection"), folders(root, "policy")
    files = (selected / "selection.parquet", policy / "final" / "model.safetensors")
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


def test_killed_in_every_step_and_started_again(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for root in (whole, killed):
        root.mkdir()
    for kind in KINDS:
        start_and_kill(killed, kind)
    for root in (whole, killed):
        result = small_run(root)
        assert result.returncode == 0, result.stderr
    assert results(killed) == results(whole)
