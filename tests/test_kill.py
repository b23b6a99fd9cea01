"""kill -9 in a step, then the same command: the same selection and the same weights as without."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apm_exp.training.metrics_file import read_rows
from tests.command import SMALL, apm_exp, command, environment, folders, small, small_run

KINDS = ("generations", "logps", "policy", "evaluation")  # those that take long, each with another way to go on


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


@pytest.fixture(autouse=True)
def _interruptible() -> None:
    """A shell gives what it starts in the background a SIGINT that is ignored, and a command would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="the worker is found in /proc")
def test_a_worker_that_is_killed_is_one_line(tmp_path: Path) -> None:
    process = started(tmp_path, "models", *small("model.steps=3000"))
    (server,) = [pid for pid in children(process.pid) if children(pid)]
    (worker,) = children(server)
    os.kill(worker, signal.SIGKILL)
    assert process.communicate(timeout=60)[1].splitlines()[-1].startswith("error: the job was killed (SIGKILL; ")
    assert process.returncode == 1


def test_ctrl_c_ends_a_multirun(tmp_path: Path) -> None:
    process = started(tmp_path, "models", "-m", *small("model.steps=3000"), "alpha=1,2")
    os.killpg(process.pid, signal.SIGINT)
    *_, interrupted, last = process.communicate(timeout=60)[1].splitlines()
    assert interrupted == "error: interrupted; finished steps are kept; re-run the same command to resume"
    assert last.startswith("0 of 2 jobs done, 1 interrupted, 1 not started | report: ")
    assert process.returncode == 130
    status = apm_exp(tmp_path, "task=status", "-m", *small("model.steps=3000"), "tracking=none", "alpha=1,2").stdout
    assert re.search(r"^0 +alpha=1 +interrupted +[\d.]+ +models", status, re.MULTILINE)
    assert re.search(r"^1 +alpha=2 +waiting", status, re.MULTILINE)


@pytest.mark.slow
def test_an_interrupt_of_the_command_alone_reaches_the_worker(tmp_path: Path) -> None:
    process = started(tmp_path, "models", *small("model.steps=3000"))
    os.kill(process.pid, signal.SIGINT)
    assert "interrupted; finished steps are kept" in process.communicate(timeout=60)[1]
    assert process.returncode == 130


@pytest.mark.skipif(sys.platform != "linux", reason="ranks and DeepSpeed are for Linux")
def test_sigterm_saves_a_training_in_two_ranks_and_the_same_command_ends_it(tmp_path: Path) -> None:
    """Scored and trained in two processes, with ZeRO-2; the command alone is told."""
    line = [*SMALL, "runtime.processes=2", "deepspeed=zero2", "trainer.epochs=40"]
    process = started(tmp_path, "policy/*/metrics.jsonl", *line)
    os.kill(process.pid, signal.SIGTERM)
    said = process.communicate(timeout=100)[1].splitlines()[-1]
    stopped = re.fullmatch(r"error: the training stopped at optimizer step (\d+) of 40 after SIGTERM .* resume", said)
    assert stopped, said
    assert process.returncode == 143
    assert not folders(tmp_path, "policy")
    result = apm_exp(tmp_path, *line, "tracking=none")
    assert result.returncode == 0, result.stderr
    assert f"training resumes from optimizer step {stopped[1]}\n" in result.stderr
    (policy,) = folders(tmp_path, "policy")
    assert [row["step"] for row in read_rows(policy / "metrics.jsonl")] == list(range(1, 41))


def started(root: Path, kind: str, *arguments: str) -> subprocess.Popen[str]:
    """The command, once the step of this kind is there (or what this pattern names, with something in it)."""
    line = command(*arguments, "tracking=none")
    process = subprocess.Popen(
        line, cwd=root, env=environment(), start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 200
    pattern = kind if "/" in kind else f"{kind}/*"
    while not any(found.stat().st_size for found in (root / "outputs").glob(pattern)):
        assert process.poll() is None
        assert time.monotonic() < deadline, f"{kind} never began"
        time.sleep(0.05)
    return process


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def results(root: Path) -> list[str]:
    (selected,), (policy,) = folders(root, "selection"), folders(root, "policy")
    files = (selected / "selection.parquet", policy / "final" / "model.safetensors")
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


@pytest.mark.slow
def test_killed_in_long_steps_and_started_again(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for root in (whole, killed):
        root.mkdir()
    for kind in KINDS:
        start_and_kill(killed, kind)
    for root in (whole, killed):
        result = small_run(root)
        assert result.returncode == 0, result.stderr
    assert results(killed) == results(whole)
