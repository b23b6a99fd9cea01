"""The ranks of a step, started by srun on two nodes of a real Slurm and by a real mpirun: what comes back, what not."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]
ENDS = [
    ["ValueError", r"^tokens: nothing is left$"],
    [
        "ValueError",
        r"^rank 1 on \S+ was killed \(SIGKILL; .*; re-run the same command to resume; its log: /.*/ranks/1.log$",
    ],
    ["Stopped", r"^the training stopped at step 3$"],
]
ALLOCATION = ["salloc", "--quiet", "--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=2"]


def steps(out: Path, launcher: str, *wanted: str) -> list[str]:
    code = "import sys; from pathlib import Path; from tests.cluster.steps import main; "
    return [sys.executable, "-c", f"{code}main(Path({str(out)!r}), {launcher!r}, {list(wanted)!r})"]


def told(command: list[str], environment: dict[str, str]) -> list[Any]:
    """What each step of the command came to."""
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def assert_ends(ends: list[Any], expected: list[list[str]]) -> None:
    assert [kind for kind, _ in ends] == [kind for kind, _ in expected]
    for (_, message), (_, pattern) in zip(ends, expected, strict=True):
        assert re.search(pattern, message), message


@pytest.mark.slurm
def test_srun_starts_ranks_on_all_nodes_and_what_fails_on_one_is_raised(slurm: dict[str, str], tmp_path: Path) -> None:
    command = [*ALLOCATION, *steps(tmp_path, "srun", "places", "fails", "killed", "stops")]
    first, *ends = told(command, slurm)
    assert first == {"sum": 6, "world": 4}
    places = [(tmp_path / "places" / f"place_{rank}").read_text() for rank in range(4)]
    assert places == ["n1 0 of 2", "n1 1 of 2", "n2 0 of 2", "n2 1 of 2"]
    assert_ends(ends, ENDS)


@pytest.mark.slurm
def test_ranks_on_all_nodes_end_with_a_killed_command(slurm: dict[str, str], tmp_path: Path) -> None:
    command = subprocess.Popen([*ALLOCATION, *steps(tmp_path, "srun", "waits")], cwd=ROOT, env=os.environ | slurm)
    wait_for(lambda: len(list((tmp_path / "waits").glob("pid_*"))) == 2)
    (parent,) = psutil.Process(command.pid).children()
    left = processes_of(tmp_path)
    assert sorted(process.name() for process in left if process != parent) == ["python", "python", "srun", "srun"]
    parent.kill()
    _, alive = psutil.wait_procs(left, timeout=30)
    assert not alive
    command.wait(30)


@pytest.fixture
def mpi() -> dict[str, str]:
    if shutil.which("mpirun") is None:
        pytest.skip("no mpirun here (Debian: openmpi-bin)")
    names = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMPI_MCA_rmaps_base_oversubscribe")
    return dict.fromkeys(names, "1")


def test_mpirun_starts_ranks_and_what_fails_in_one_is_raised(mpi: dict[str, str], tmp_path: Path) -> None:
    first, *ends = told(steps(tmp_path, "mpirun", "places", "killed", "stops"), mpi)
    assert first == {"sum": 1, "world": 2}
    assert [(tmp_path / "places" / f"place_{rank}").read_text() for rank in range(2)] == ["None 0 of 2", "None 1 of 2"]
    assert_ends(ends, ENDS[1:])


def processes_of(folder: Path) -> list[psutil.Process]:
    """The ranks whose task is in a folder, and what started them."""
    each = psutil.process_iter(["cmdline"])
    return [process for process in each if any(part.startswith(f"{folder}/") for part in process.info["cmdline"] or [])]


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
